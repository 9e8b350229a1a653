#include "harness/base/say_once.h"

#include <mutex>
#include <set>

#include "harness/base/output.h"

namespace samebits {

void say_once(const std::string& line) {
  static std::mutex mutex;
  static std::set<std::string> said;
  const std::lock_guard lock(mutex);
  if (said.insert(line).second) complain(line);
}

}  // namespace samebits
