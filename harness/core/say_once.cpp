#include "harness/core/say_once.h"

#include <cstdio>
#include <mutex>
#include <set>

namespace samebits {

void say_once(const std::string& line) {
  static std::mutex mutex;
  static std::set<std::string> said;
  const std::lock_guard lock(mutex);
  if (said.insert(line).second) std::fprintf(stderr, "samebits: %s\n", line.c_str());
}

}  // namespace samebits
