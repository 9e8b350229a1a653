#include <algorithm>

#include "harness/kernels/cuda/rows/softmax.cuh"

namespace samebits::cuda {

RowSums row_sums(const Logits& size, float* workspace) {
  constexpr int64_t kBlocks = 528;  // four for each multiprocessor
  RowSums sums{};
  const int64_t wanted = std::clamp<int64_t>(kBlocks / size.rows, 1, kMostChunks);
  sums.width = ((size.vocab + wanted - 1) / wanted + 3) / 4 * 4;
  sums.chunks = (size.vocab + sums.width - 1) / sums.width;
  sums.maxima = workspace;
  sums.partials = workspace + size.rows * kMostChunks;
  sums.arrived = reinterpret_cast<int*>(sums.partials + size.rows * kSoftmaxLanes);
  return sums;
}

}  // namespace samebits::cuda
