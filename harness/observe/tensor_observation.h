#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "harness/core/dtype.h"
#include "harness/observe/observation.h"

namespace samebits {

// Our name of a LibTorch element type. Throws c10::Error for one that is never observed.
Dtype dtype_from_scalar_type(at::ScalarType type);

// The observation of a tensor of any layout. A DTensor is seen whole, so that arms of different TP
// degrees can be compared: pending sums are reduced, shards gathered.
Observation observe_tensor(int64_t step, std::string phase, int64_t rank, std::string site,
                           const at::Tensor& value);

}  // namespace samebits
