#include "harness/run/cause_text.h"

namespace samebits {

std::string input_text(const Computation& computation, const Computation::Input& input) {
  const std::string& site = computation.values[input.value].site;
  return site.empty() ? input.name : input.name + " (" + site + ")";
}

std::string origin_text(const Computation::Value& value, int64_t step) {
  if (value.site.ends_with(".weight")) {
    return step == 0 ? value.site + ", as the run began with it"
                     : value.site + ", as the step before left it";
  }
  if (!value.site.empty()) return value.site;
  return "which came in from outside: no operator of this step made it";
}

}  // namespace samebits
