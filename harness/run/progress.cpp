#include "harness/run/progress.h"

#include "harness/base/output.h"

namespace samebits {

Progress Progress::silent() {
  Progress progress(/*is_terminal=*/false);
  progress.is_silent_ = true;
  return progress;
}

void Progress::show(const std::string& line) {
  if (is_silent_) return;
  if (!is_terminal_) {
    say("{}\n", line);
    return;
  }
  rewrite_line(line);
  is_shown_ = true;
}

void Progress::show_briefly(const std::string& line) {
  if (is_terminal_) show(line);
}

void Progress::clear() {
  if (is_terminal_ && is_shown_) rewrite_line("");
  is_shown_ = false;
}

}  // namespace samebits
