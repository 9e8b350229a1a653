#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace samebits {

// The sum of `parts` (one or more, of one shape and dtype) in the order that communicator.h fixes.
// Each addition rounds to the tensors' dtype. The result is contiguous and shares no storage with
// the parts. Communicators of every kind gather and then call this.
at::Tensor tree_sum(std::vector<at::Tensor> parts);

}  // namespace samebits
