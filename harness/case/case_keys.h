#pragma once

#include <string>
#include <vector>

namespace samebits {

// The keys that a case file may have at its top, and those of them that no arm has.
const std::vector<std::string>& case_keys();
const std::vector<std::string>& case_only_keys();

// The keys of an arm: those of the case, laid over it, and its own.
const std::vector<std::string>& arm_keys();

// Those that say something to an arm that is another program.
const std::vector<std::string>& program_keys();

// What no arm may be called: it would read as a key of the case, or as one of an arm's sides.
const std::vector<std::string>& reserved_arm_names();

}  // namespace samebits
