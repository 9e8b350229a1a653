// digest_sums.h on the card: integers, so that blocks may add to the result in any order.

#include "harness/core/digest_mix.h"
#include "harness/kernels/cuda/launch.cuh"
#include "harness/kernels/cuda/launchers.h"

namespace samebits::cuda {
namespace {

constexpr int kThreads = 256;

template <typename T>
__global__ void digest_sums_kernel(const T* x, int64_t n, unsigned long long* to) {
  __shared__ unsigned long long shared[2];
  wait_for_earlier_kernels();
  if (threadIdx.x < 2) shared[threadIdx.x] = 0;
  __syncthreads();
  DigestSums sums;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
#pragma unroll 4
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < n; i += step) {
    sums.add(x[i], static_cast<uint64_t>(i));
  }
  unsigned long long a = sums.a;
  unsigned long long b = sums.b;
  for (int width = 16; width > 0; width /= 2) {
    a += __shfl_down_sync(0xffffffffu, a, width);
    b += __shfl_down_sync(0xffffffffu, b, width);
  }
  if (threadIdx.x % 32 == 0) {
    atomicAdd(&shared[0], a);
    atomicAdd(&shared[1], b);
  }
  __syncthreads();
  if (threadIdx.x < 2) atomicAdd(&to[threadIdx.x], shared[threadIdx.x]);
}

template <typename T>
void launch_digest(const void* x, int64_t n, int64_t* to, cudaStream_t stream) {
  constexpr int64_t kMostBlocks = 132 * 8;
  const int64_t blocks = (n + kThreads - 1) / kThreads;
  launch(digest_sums_kernel<T>,
         dim3(static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks)), kThreads, 0,
         stream, static_cast<const T*>(x), n, reinterpret_cast<unsigned long long*>(to));
}

}  // namespace

void digest_sums(const void* x, int64_t n, int64_t element_size, int64_t* to, cudaStream_t stream) {
  cudaMemsetAsync(to, 0, 2 * sizeof(int64_t), stream);
  if (n == 0) return;
  switch (element_size) {
    case 1:
      return launch_digest<uint8_t>(x, n, to, stream);
    case 2:
      return launch_digest<uint16_t>(x, n, to, stream);
    case 4:
      return launch_digest<uint32_t>(x, n, to, stream);
    default:
      return launch_digest<uint64_t>(x, n, to, stream);
  }
}

}  // namespace samebits::cuda
