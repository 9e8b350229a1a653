#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/observe/computation.h"

namespace samebits {

// For a person: "weight (layers.0.attention.wq.weight)"; the argument's name alone where nothing
// else is known of it.
std::string input_text(const Computation& computation, const Computation::Input& input);

// Neighbours of one name as one: "squares (46 of them)".
std::vector<std::string> folded(const std::vector<std::string>& names);

// folded(), and of a long list the beginning.
std::string cut_list_text(const std::vector<std::string>& names);

// Where a value that is not as it should be came from, as far as that can be known.
std::string origin_text(const Computation::Value& value, int64_t step);

}  // namespace samebits
