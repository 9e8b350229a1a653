#pragma once

#include <string>
#include <utility>
#include <vector>

namespace samebits {

// This process's environment as NAME=VALUE, with `own` in place of what it had by these names.
std::vector<std::string> environment_with(
    const std::vector<std::pair<std::string, std::string>>& own);

// What execve() takes: pointers into `texts`, which must outlive them, and a null at the end.
std::vector<char*> pointers_to(std::vector<std::string>& texts);

}  // namespace samebits
