#include <algorithm>

#include "harness/kernels/cuda/launch.cuh"
#include "harness/kernels/cuda/softmax.cuh"

namespace samebits::cuda {
namespace {

constexpr int kLanes = 32;  // of a block, one for each thread of its first warp
constexpr int kWarps = kSoftmaxThreads / 32;
constexpr int kPiece = 512;  // terms of a lane that are in shared memory at once

// All warps make the terms, the first one adds them up. Grid: rows, groups of lanes.
template <typename T>
__global__ void __launch_bounds__(kSoftmaxThreads)
    add_row_partials_kernel(Logits size, const T* logits, RowSums sums) {
  extern __shared__ float terms[];  // [kPiece][kLanes]
  wait_for_earlier_kernels();
  const int64_t row = blockIdx.x;
  const T* x = logits + row * size.width;
  const float m = max_of_chunks(sums, row);
  const int own = softmax_lane() % kLanes;
  const int warp = softmax_lane() / kLanes;
  const int64_t lane = blockIdx.y * kLanes + own;
  float partial = 0.0f;
  const int64_t terms_of_lane = (size.vocab + kSoftmaxLanes - 1) / kSoftmaxLanes;
  for (int64_t done = 0; done < terms_of_lane; done += kPiece) {
    const int count = static_cast<int>(min(terms_of_lane - done, static_cast<int64_t>(kPiece)));
    const int64_t first = done * kSoftmaxLanes + lane;
#pragma unroll 8  // loads go ahead
    for (int t = warp; t < count; t += kWarps) {
      const int64_t i = first + t * kSoftmaxLanes;
      if (i < size.vocab) terms[t * kLanes + own] = exp_f32(load(x[i]) - m);
    }
    __syncthreads();
    if (warp == 0) {
#pragma unroll 8
      for (int t = 0; t < count; ++t) {
        if (first + t * kSoftmaxLanes < size.vocab) partial = partial + terms[t * kLanes + own];
      }
    }
    __syncthreads();
  }
  if (warp == 0) sums.partials[row * kSoftmaxLanes + lane] = partial;
}

}  // namespace

RowSums row_sums(const Logits& size, float* workspace) {
  constexpr int64_t kBlocks = 528;  // four for each multiprocessor
  RowSums sums{};
  const int64_t wanted = std::clamp<int64_t>(kBlocks / size.rows, 1, kMostChunks);
  sums.width = ((size.vocab + wanted - 1) / wanted + 3) / 4 * 4;
  sums.chunks = (size.vocab + sums.width - 1) / sums.width;
  sums.maxima = workspace;
  sums.partials = workspace + size.rows * kMostChunks;
  return sums;
}

void add_row_partials(const Logits& size, const void* logits, const RowSums& sums,
                      cudaStream_t stream) {
  constexpr size_t kBytes = kPiece * kLanes * sizeof(float);
  const dim3 grid(static_cast<unsigned>(size.rows), kSoftmaxLanes / kLanes);
  with_element(size.bf16, [&](auto element) {
    using T = decltype(element);
    allow_shared_memory(add_row_partials_kernel<T>, kBytes);
    launch(add_row_partials_kernel<T>, grid, kSoftmaxThreads, kBytes, stream, size,
           static_cast<const T*>(logits), sums);
  });
}

}  // namespace samebits::cuda
