#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace samebits {

// Records of TensorBoard's event files, as tensorboard.cpp reads them; a file is one after the
// other.

// The first: the version of the form.
std::string version_record();

// A number at a step; `seconds` is the event's wall clock.
std::string scalar_record(std::string_view tag, int64_t step, float value, double seconds);

}  // namespace samebits
