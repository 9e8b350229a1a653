#include "harness/run/progress.h"

#include <fmt/format.h>

#include <cstdio>

namespace samebits {

void Progress::show(const std::string& line) {
  // "\r" returns to the line's begin, "\033[K" clears what was there.
  is_terminal_ ? fmt::print("\r{}\033[K", line) : fmt::print("{}\n", line);
  is_shown_ = true;
  std::fflush(stdout);
}

void Progress::clear() {
  if (!is_terminal_ || !is_shown_) return;
  fmt::print("\r\033[K");
  std::fflush(stdout);
  is_shown_ = false;
}

}  // namespace samebits
