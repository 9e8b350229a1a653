#pragma once

// rms_norm.h on the card: a row belongs to kRmsNormLanes neighbouring threads, one for each partial
// sum.

#include "harness/kernels/cuda/runtime/device.cuh"
#include "harness/kernels/rms_norm.h"

namespace samebits::cuda {

// The strided sum of term(i), i < n, to every lane of the row. All threads of a warp take part,
// those without a row with n = 0.
template <typename Term>
__device__ float row_sum(int64_t n, int lane, Term term) {
  float partial = 0.0f;
#pragma unroll 16  // loads go ahead of the additions, which wait for each other
  for (int64_t i = lane; i < n; i += kRmsNormLanes) partial = partial + term(i);
  return __shfl_sync(0xffffffffu, fold_lanes<kRmsNormLanes>(partial), 0, kRmsNormLanes);
}

// Of a row of `dim` elements whose element i is value(i), i < n; n is dim or 0, as above.
template <typename Value>
__device__ float inverse_rms_of(int64_t n, int64_t dim, int lane, float eps, Value value) {
  const float squares = row_sum(n, lane, [&](int64_t i) {
    const float x = value(i);
    return x * x;
  });
  return 1.0f / sqrtf(squares / static_cast<float>(dim) + eps);
}

// An element before its last rounding. `scaled`: x times the inverse root.
template <typename T>
__device__ float normed_element(float scaled, float weight, bool fused_rounding = false) {
  return weight * (fused_rounding ? scaled : round_as<T>(scaled));
}

}  // namespace samebits::cuda
