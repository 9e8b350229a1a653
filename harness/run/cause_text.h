#pragma once

#include <cstdint>
#include <string>

#include "harness/observe/computation.h"

namespace samebits {

// For a person: "weight (layers.0.attention.wq.weight)"; the argument's name alone where nothing
// else is known of it.
std::string input_text(const Computation& computation, const Computation::Input& input);

// Where a value that is not as it should be came from, as far as that can be known.
std::string origin_text(const Computation::Value& value, int64_t step);

}  // namespace samebits
