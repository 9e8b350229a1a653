#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

namespace samebits::testing {

struct FillLaunch {
  size_t shared_bytes;
  bool overlaps;  // launch(), else launch_in_order()
  bool allows;    // asks for the shared memory before
};

// *to = value, by a launch that the card refuses where it cannot have the shared memory.
void fill(float* to, float value, const FillLaunch& how, cudaStream_t stream);

}  // namespace samebits::testing
