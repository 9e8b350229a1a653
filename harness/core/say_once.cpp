#include "harness/core/say_once.h"

#include <mutex>
#include <set>

#include "harness/core/output.h"

namespace samebits {

void say_once(const std::string& line) {
  static std::mutex mutex;
  static std::set<std::string> said;
  const std::lock_guard lock(mutex);
  if (said.insert(line).second) complain(line);
}

}  // namespace samebits
