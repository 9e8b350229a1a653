#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace samebits {

// Bad input: a case, a checkpoint, a golden, a flag. One line that says where (file, key or byte
// offset), what was found and what was expected. The command line turns it into exit code 2.
class InputError : public std::runtime_error {
 public:
  InputError(const std::string& where, const std::string& found, const std::string& expected)
      : std::runtime_error(where + ": found " + found + ", expected " + expected) {}
  explicit InputError(const std::string& line) : std::runtime_error(line) {}
};

// The run itself broke: a full disk, a dead rank, a timeout, no memory. Exit code 3.
class RunError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace samebits
