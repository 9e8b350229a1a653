#pragma once

// silu_mul.h on the card.

#include "harness/kernels/cuda/runtime/device.cuh"

namespace samebits::cuda {

// An element before its last rounding.
template <typename T>
__device__ float silu_mul_element(float gate, float up, bool fused_rounding = false) {
  const float s = gate / (1.0f + exp_f32(-gate));
  return (fused_rounding ? s : round_as<T>(s)) * up;
}

}  // namespace samebits::cuda
