#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "harness/dtensor/dtensor_impl.h"

namespace samebits {

// A DTensor of concrete sizes over a local mesh, from locals that need not be what its placement
// says each rank has. make_dtensor() refuses those; torch.distributed.tensor does not compare, and
// its collectives take of each rank's local what the placement says is there. Here that is done at
// once: along a Shard, a local is cut to the size of its rank's shard. All else stays.
at::Tensor unchecked_dtensor(const DTensorSpec& spec, at::IntArrayRef sizes,
                             std::vector<at::Tensor> locals);

}  // namespace samebits
