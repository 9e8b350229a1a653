#pragma once

#include <string>

namespace samebits {

// What a run is doing, on stdout: one line that is rewritten on a terminal, a line each elsewhere.
class Progress {
 public:
  // `is_terminal`: whether stdout is one.
  explicit Progress(bool is_terminal) : is_terminal_(is_terminal) {}
  // Says nothing: of runs that are a part of something else, which has a progress of its own.
  static Progress silent();
  ~Progress() { clear(); }

  void show(const std::string& line);
  void show_briefly(const std::string& line);  // on a terminal alone: the next line takes its place
  void clear();  // leaves the terminal's line empty, for what is printed next

 private:
  bool is_terminal_;
  bool is_silent_ = false;
  bool is_shown_ = false;
};

}  // namespace samebits
