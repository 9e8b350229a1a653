#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "harness/observe/computation.h"

namespace samebits {

// What a call means, without roundings: its first result in float64, by LibTorch's own operators,
// on the values that the call was given. An operator of the contract has its definition here;
// LibTorch's own is called again on float64. Nothing where there is neither: `write_kv`, sampling,
// the fused ones, and what writes an argument.
std::optional<at::Tensor> float64_reference(const Computation::Call& call);

}  // namespace samebits
