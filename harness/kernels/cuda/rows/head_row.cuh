#pragma once

// rms_norm_rope.h on the card where a lane has both elements of every pair that it rotates: heads
// of 32 * kPairs elements, of kRmsNormLanes lanes.

#include "harness/kernels/cuda/rows/launchers.h"
#include "harness/kernels/cuda/rows/rms_norm.cuh"
#include "harness/kernels/cuda/runtime/device.cuh"

namespace samebits::cuda {

// A lane's part of one head of one token.
template <typename T, int kPairs>
struct HeadRow {
  static constexpr int kLanes = kRmsNormLanes;
  static constexpr int kOwn = 2 * kPairs;  // elements, lane, lane + kLanes, ...
  static constexpr int kDim = kOwn * kLanes;

  int64_t position;
  bool is_there;  // the position is within the table
  float weights[kOwn];
  float cosines[kPairs];
  float sines[kPairs];
  float values[kOwn];
  T normed[kOwn];
  T rotated[kOwn];

  // What does not come of the tokens, past the processor's own cache (launch.cuh).
  __device__ void load_tables(const Rotation& call, const void* weight, int64_t token, int lane) {
    position = __ldcg(call.positions + token);
    is_there = position >= 0 && position < call.table;
    const int64_t turn = (is_there ? position : 0) * (kDim / 2) + lane;
#pragma unroll
    for (int j = 0; j < kOwn; ++j) {
      weights[j] = load(static_cast<const T*>(weight)[j * kLanes + lane]);
    }
#pragma unroll
    for (int j = 0; j < kPairs; ++j) {
      cosines[j] = call.cos[turn + j * kLanes];
      sines[j] = call.sin[turn + j * kLanes];
    }
  }

  // x: of the head.
  __device__ void load_values(const void* x, int lane) {
#pragma unroll
    for (int j = 0; j < kOwn; ++j) {
      values[j] = load(load_past_cache(static_cast<const T*>(x) + j * kLanes + lane));
    }
  }

  // All threads of the warp.
  __device__ void norm_and_rotate(float eps) {
    float partial = 0.0f;
#pragma unroll
    for (int j = 0; j < kOwn; ++j) partial = partial + values[j] * values[j];
    const float squares = __shfl_sync(0xffffffffu, fold_lanes<kLanes>(partial), 0, kLanes);
    const float r = 1.0f / sqrtf(squares / static_cast<float>(kDim) + eps);
#pragma unroll
    for (int j = 0; j < kOwn; ++j) {
      store(normed_element<T>(values[j] * r, weights[j]), normed[j]);
      values[j] = load(normed[j]);
    }
#pragma unroll
    for (int j = 0; j < kPairs; ++j) {
      const float x1 = values[j];
      const float x2 = values[j + kPairs];
      store(x1 * cosines[j] - x2 * sines[j], rotated[j]);
      store(x2 * cosines[j] + x1 * sines[j], rotated[j + kPairs]);
    }
  }

  // `to`: of the head.
  __device__ static void write(const T (&from)[kOwn], void* to, int lane) {
#pragma unroll
    for (int j = 0; j < kOwn; ++j) static_cast<T*>(to)[j * kLanes + lane] = from[j];
  }
};

}  // namespace samebits::cuda
