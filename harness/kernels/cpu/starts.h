#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace samebits {

// Where sequences begin among `tokens`, and the end (step_gradient.h): `starts`, checked, or without
// it one sequence of them all.
std::vector<int64_t> checked_starts(const char* op, const std::optional<at::Tensor>& starts,
                                    int64_t tokens);

}  // namespace samebits
