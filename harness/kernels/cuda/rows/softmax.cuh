#pragma once

// The sum over a row of the vocabulary, as log_softmax.h adds it, by many blocks a row: first the
// maxima of chunks of the row, then, in one more kernel, the partial sums, a block some of the
// lanes, and by the last of a row's blocks the fold and what is made of it.

#include "harness/kernels/cuda/rows/launchers.h"
#include "harness/kernels/cuda/runtime/device.cuh"
#include "harness/kernels/cuda/runtime/launch.cuh"
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
  int* arrived;     // [rows]: blocks that have added theirs

  // By the kernel that finds the maxima: a thread of each of its blocks.
  __device__ void note_maximum(int64_t row, int64_t chunk, float most) const {
    maxima[row * chunks + chunk] = most;
    if (chunk == 0) arrived[row] = 0;
  }
};

inline int64_t row_sums_workspace(const Logits& size) {
  return size.rows * (kMostChunks + kSoftmaxLanes + 1);
}
RowSums row_sums(const Logits& size, float* workspace);

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
  const float sum = fold_block<kSoftmaxThreads>(
      __ldcg(sums.partials + row * kSoftmaxLanes + softmax_lane()), shared);
  return canonical_nan_f32(max_of_chunks(sums, row) + log_f32(sum));
}

constexpr int kSoftmaxTerms = 8192;  // that a block has in shared memory at once

// All threads make the terms, one for each lane adds them up. Grid: rows, groups of kLanes lanes.
// finish(row): by all threads of a block that sees what all blocks of the row have written.
template <typename T, int kLanes, typename Finish>
__global__ void __launch_bounds__(kSoftmaxThreads)
    add_row_partials_kernel(Logits size, const T* logits, RowSums sums, Finish finish) {
  constexpr int kGroups = kSoftmaxThreads / kLanes;
  constexpr int kPiece = kSoftmaxTerms / kLanes;  // terms of a lane
  constexpr int kBatch = 8;                       // terms that a thread brings at once
  __shared__ float terms[kSoftmaxTerms];          // [kPiece][kLanes]
  wait_for_earlier_kernels();
  const int64_t row = blockIdx.x;
  const float m = max_of_chunks(sums, row);
  const int own = softmax_lane() % kLanes;
  const int group = softmax_lane() / kLanes;
  const int64_t lane = blockIdx.y * kLanes + own;
  const T* x = logits + row * size.width + lane;
  const int64_t terms_of_lane = (size.vocab - lane + kSoftmaxLanes - 1) / kSoftmaxLanes;
  const int64_t terms_of_first = (size.vocab + kSoftmaxLanes - 1) / kSoftmaxLanes;
  float partial = 0.0f;
  for (int64_t done = 0; done < terms_of_first; done += kPiece) {
    const int count =
        static_cast<int>(max(min(terms_of_lane - done, static_cast<int64_t>(kPiece)), int64_t{0}));
    const T* piece = x + done * kSoftmaxLanes;
    for (int first = group; first < count; first += kBatch * kGroups) {
      float from_m[kBatch];
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int t = first + i * kGroups;
        from_m[i] = t < count ? load(piece[t * kSoftmaxLanes]) - m : 0.0f;
      }
      exp_all(from_m);
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int t = first + i * kGroups;
        if (t < count) terms[t * kLanes + own] = from_m[i];
      }
    }
    __syncthreads();
    if (group == 0) {
#pragma unroll 16
      for (int t = 0; t < count; ++t) partial = partial + terms[t * kLanes + own];
    }
    __syncthreads();
  }
  if (group == 0) {
    sums.partials[row * kSoftmaxLanes + lane] = partial;
    __threadfence();
  }
  __shared__ bool is_last;
  __syncthreads();
  if (softmax_lane() == 0) {
    is_last = atomicAdd(sums.arrived + row, 1) + 1 == static_cast<int>(gridDim.y);
    __threadfence();
  }
  __syncthreads();
  if (is_last) finish(row);
}

// From the maxima to the end, by as many blocks as a card has room for.
template <typename T, typename Finish>
void add_row_partials(const Logits& size, const T* logits, const RowSums& sums,
                      const Finish& finish, cudaStream_t stream) {
  constexpr int64_t kFewRows = 8;
  const auto run = [&](auto kernel, int lanes) {
    launch(kernel, dim3(static_cast<unsigned>(size.rows), kSoftmaxLanes / lanes), kSoftmaxThreads,
           0, stream, size, logits, sums, finish);
  };
  if (size.rows <= kFewRows) return run(add_row_partials_kernel<T, 4, Finish>, 4);
  run(add_row_partials_kernel<T, 16, Finish>, 16);
}

}  // namespace samebits::cuda
