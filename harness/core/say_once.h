#pragma once

#include <string>

namespace samebits {

// Prints "samebits: LINE" on stderr, the first time that a process says this line: for what a user
// should know of a folder that is read, by each arm anew.
void say_once(const std::string& line);

}  // namespace samebits
