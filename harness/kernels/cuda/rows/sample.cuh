#pragma once

// What the kernels that draw a token share (sample.h). The best of a row is looked for by many: the
// largest score with the lowest id is one and the same in whatever order it is looked for.

#include "harness/bits/philox.h"
#include "harness/kernels/cuda/runtime/device.cuh"
#include "harness/kernels/sample.h"

namespace samebits::cuda {

struct Best {
  float value;
  int64_t id;  // -1: nothing yet
};

// For ids in ascending order: among equals the first stays, and a NaN never gets in.
__device__ inline void consider(float value, int64_t id, Best& best) {
  if (best.id < 0 ? value == value : value > best.value) best = {value, id};
}

__device__ inline Best better(const Best& a, const Best& b) {
  if (a.id < 0 || b.id < 0) return a.id < 0 ? b : a;
  return b.value > a.value || (b.value == a.value && b.id < a.id) ? b : a;
}

__device__ inline Best best_of_warp(Best best) {
  for (int width = 16; width > 0; width /= 2) {
    best = better(best, {__shfl_xor_sync(0xffffffffu, best.value, width),
                         __shfl_xor_sync(0xffffffffu, best.id, width)});
  }
  return best;
}

__device__ inline float gumbel_score(float z, uint32_t word) {
  const float u = (static_cast<float>(static_cast<int32_t>(word >> 9)) + 0.5f) * 0x1p-23f;
  return z - log_f32(-log_f32(u));
}

// The words of four neighbouring ids, the first of which is a multiple of four. `key`: the row's.
__device__ inline std::array<uint32_t, 4> words_of_four(int64_t four, const int64_t* key,
                                                        uint64_t seed) {
  return philox4x32_10({static_cast<uint32_t>(four / 4), static_cast<uint32_t>(key[1]),
                        static_cast<uint32_t>(key[0]), kSampleDomain},
                       {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
}

// A row's key; one that is outside goes on with its low bits. `row`: for the message.
__device__ inline void check_key(const int64_t* key, int64_t row, Fault* fault) {
  constexpr int64_t kLimit = int64_t{1} << 32;
  for (int i = 0; i < 2; ++i) {
    if (key[i] >= 0 && key[i] < kLimit) continue;
    raise(fault, FaultKind::kSampleKey, 2 * row + i, key[i], kLimit);
  }
}

}  // namespace samebits::cuda
