#include <algorithm>

#include "harness/kernels/cuda/launch.cuh"
#include "harness/kernels/cuda/softmax.cuh"

namespace samebits::cuda {
namespace {

constexpr int kLanes = 16;  // of a block
constexpr int kGroups = kSoftmaxThreads / kLanes;
constexpr int kPiece = 512;  // terms of a lane that are in shared memory at once

// All threads make the terms, one for each lane adds them up. Grid: rows, groups of lanes.
template <typename T>
__global__ void __launch_bounds__(kSoftmaxThreads)
    add_row_partials_kernel(Logits size, const T* logits, RowSums sums) {
  extern __shared__ float terms[];  // [kPiece][kLanes]
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
#pragma unroll 8  // loads go ahead
    for (int t = group; t < count; t += kGroups) {
      terms[t * kLanes + own] = exp_f32(load(piece[t * kSoftmaxLanes]) - m);
    }
    __syncthreads();
    if (group == 0) {
#pragma unroll 16
      for (int t = 0; t < count; ++t) partial = partial + terms[t * kLanes + own];
    }
    __syncthreads();
  }
  if (group == 0) sums.partials[row * kSoftmaxLanes + lane] = partial;
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
