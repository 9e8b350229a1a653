#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace samebits {

// A program of somebody else's, to be run once.
struct ProgramCall {
  std::vector<std::string> command;                      // looked for in PATH as a shell does
  std::vector<std::pair<std::string, std::string>> env;  // beside this process's environment
  std::filesystem::path cwd;
  std::filesystem::path output;  // a new file: what it writes to stdout and stderr
  double timeout_s = 0;
};

struct ProgramEnd {
  int code = 0;                  // as of supervise()
  bool is_late = false;          // it was ended because timeout_s had passed
  double seconds = 0;            // wall clock
  double processor_seconds = 0;  // of it and of what it started

  bool is_good() const { return code == 0 && !is_late; }
  std::string text() const;  // "exited with code 1", "was killed by signal 9 (Killed)"
};

// Runs it to its end, with nothing to read on stdin; everything that it started has ended with it,
// and ends with this process too. `on_second` is called about once a second. Throws RunError where
// no process can be made.
ProgramEnd run_program(const ProgramCall& call, const std::function<void()>& on_second);

// The file that `program` stands for, as execvp() finds it from `cwd` with `path` as PATH; empty
// where there is none that may be executed.
std::filesystem::path find_program(const std::string& program, const std::filesystem::path& cwd,
                                   const std::string& path);

// The last lines of a text file that have something to say, on one line; "" where there are none.
std::string last_lines(const std::filesystem::path& file);

}  // namespace samebits
