#include "harness/execution/mode.h"

namespace samebits {

std::string describe(const Mode& mode) {
  std::string text = to_string(mode.execution);
  if (mode.is_traced() && mode.guards == GuardPolicy::kDrop) text += ", no guards";
  for (const GraphPass pass : mode.passes) text += ", " + to_string(pass);
  return text;
}

}  // namespace samebits
