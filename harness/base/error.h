#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include "harness/base/text.h"

namespace samebits {

// What an error may show of what it met: one line with an end, in which nothing acts on a terminal.
inline constexpr size_t kLongestMessage = 1000;
inline std::string message_line(std::string_view text) { return shortened(text, kLongestMessage); }

// Bad input: a case, a checkpoint, a golden, a flag. One line that says where (file, key or byte
// offset), what was found and what was expected. The command line turns it into exit code 2.
class InputError : public std::runtime_error {
 public:
  InputError(const std::string& where, const std::string& found, const std::string& expected)
      : InputError(where + ": found " + found + ", expected " + expected) {}
  explicit InputError(const std::string& line) : std::runtime_error(message_line(line)) {}
};

// The run itself broke: a full disk, a dead rank, a timeout, no memory. Exit code 3.
class RunError : public std::runtime_error {
 public:
  explicit RunError(const std::string& line) : std::runtime_error(message_line(line)) {}
};

}  // namespace samebits
