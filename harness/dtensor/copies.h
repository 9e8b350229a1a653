#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace samebits {

// Whether two tensors of the same dtype and device have the same bits: zeros of both signs differ,
// equal NaNs do not.
bool same_bits(const at::Tensor& a, const at::Tensor& b);

// The hosted ranks whose copy of a Replicate tensor does not hold the bits of the first one's.
// Empty for a plain tensor, other placements and an abstract tensor. On a card it waits for it.
std::vector<int64_t> ranks_apart(const at::Tensor& tensor);

}  // namespace samebits
