#pragma once

#include <string>

namespace samebits {

// Complains of a line (output.h) the first time that a process says it: for what a user should know
// of a folder that is read, by each arm anew.
void say_once(const std::string& line);

}  // namespace samebits
