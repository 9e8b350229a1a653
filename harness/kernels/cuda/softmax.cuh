#pragma once

// The sum over a row of the vocabulary, as log_softmax.h adds it, by many blocks a row: first the
// maxima of chunks of the row, then the partial sums, a block some of the lanes, then the fold.

#include "harness/kernels/cuda/device.cuh"
#include "harness/kernels/cuda/launchers.h"
#include "harness/kernels/log_softmax.h"

namespace samebits::cuda {

constexpr int kSoftmaxThreads = kSoftmaxLanes;  // of a block of every kernel that is concerned
constexpr int64_t kMostChunks = 128;

__device__ inline int softmax_lane() { return static_cast<int>(threadIdx.x); }

// What stands in the workspace between the kernels.
struct RowSums {
  int64_t chunks;   // of a row
  int64_t width;    // of a chunk, a multiple of 4; the last may be shorter
  float* maxima;    // [rows, chunks]
  float* partials;  // [rows, kSoftmaxLanes]
};

inline int64_t row_sums_workspace(const Logits& size) {
  return size.rows * (kMostChunks + kSoftmaxLanes);
}
RowSums row_sums(const Logits& size, float* workspace);
// From the maxima to the partial sums.
void add_row_partials(const Logits& size, const void* logits, const RowSums& sums,
                      cudaStream_t stream);

// The maximum of term(i), first <= i < end; every thread of the block gets it.
template <typename Term>
__device__ float row_max(int64_t first, int64_t end, float* shared, Term term) {
  float most = -INFINITY;
#pragma unroll 8  // loads go ahead of what waits for the one before
  for (int64_t i = first + softmax_lane(); i < end; i += kSoftmaxThreads) {
    most = larger(most, term(i));
  }
  return max_block<kSoftmaxThreads>(most, shared);
}

__device__ inline float max_of_chunks(const RowSums& sums, int64_t row) {
  float most = -INFINITY;
  for (int64_t i = threadIdx.x % 32; i < sums.chunks; i += 32) {
    most = larger(most, sums.maxima[row * sums.chunks + i]);
  }
  for (int width = 16; width > 0; width /= 2) {
    most = larger(most, __shfl_xor_sync(0xffffffffu, most, width));
  }
  return most;
}

// m + log(sum), to every thread of the block.
__device__ inline float log_sum_exp(const RowSums& sums, int64_t row, float* shared) {
  const float sum =
      fold_block<kSoftmaxThreads>(sums.partials[row * kSoftmaxLanes + softmax_lane()], shared);
  return canonical_nan_f32(max_of_chunks(sums, row) + log_f32(sum));
}

}  // namespace samebits::cuda
