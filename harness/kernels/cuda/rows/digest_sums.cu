// digest_sums.h and digest_rows.h on the card: integers, so that blocks may add to the result in
// any order.

#include "harness/bits/digest_mix.h"
#include "harness/kernels/cuda/rows/launchers.h"
#include "harness/kernels/cuda/runtime/device.cuh"
#include "harness/kernels/cuda/runtime/launch.cuh"
#include "harness/kernels/digest_rows.h"

namespace samebits::cuda {
namespace {

constexpr int kThreads = 256;

// Adds what the block's threads have to `to`; every thread calls it.
__device__ void add_to(unsigned long long* to, const DigestSums& sums) {
  __shared__ unsigned long long shared[2];
  if (threadIdx.x < 2) shared[threadIdx.x] = 0;
  __syncthreads();
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

constexpr int kEight = 8;

template <typename T>
struct alignas(sizeof(T) == 1 ? 8 : 16) Eight {
  T elements[kEight];
};

// Eight elements from `first` on, or fewer at the end.
template <typename T>
__device__ void add_eight(DigestSums& sums, const T* x, int64_t first, int64_t end) {
  const bool is_aligned = reinterpret_cast<uintptr_t>(x) % alignof(Eight<T>) == 0;
  if (is_aligned && first + kEight <= end) {
    const Eight<T> eight = *reinterpret_cast<const Eight<T>*>(x + first);
#pragma unroll
    for (int i = 0; i < kEight; ++i) sums.add(eight.elements[i], static_cast<uint64_t>(first) + i);
  } else {
    for (int64_t i = first; i < min(first + kEight, end); ++i) {
      sums.add(x[i], static_cast<uint64_t>(i));
    }
  }
}

template <typename T>
__global__ void digest_sums_kernel(const T* x, int64_t n, unsigned long long* to) {
  wait_for_earlier_kernels();
  DigestSums sums;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads * kEight;
  const int64_t own = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kEight;
  for (int64_t first = own; first < n; first += step) add_eight(sums, x, first, n);
  add_to(to, sums);
}

template <typename T>
void launch_digest(const void* x, int64_t n, int64_t* to, cudaStream_t stream) {
  constexpr int64_t kMostBlocks = 132 * 8;
  const int64_t blocks = (n + kThreads * kEight - 1) / (kThreads * kEight);
  launch(digest_sums_kernel<T>,
         dim3(static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks)), kThreads, 0,
         stream, static_cast<const T*>(x), n, reinterpret_cast<unsigned long long*>(to));
}

// ---- Many values -------------------------------------------------------------------------------
constexpr uint32_t kBlockElements = 4 * kEight * kThreads;

struct Batch {
  DigestedValue values[kMaxDigestedValues];  // by first_block
  int count;
  const int64_t* sizes;
  unsigned long long* to;
};

// The last value that begins at the block or before it.
__device__ int value_of_block(const Batch& batch) {
  int low = 0;
  for (int high = batch.count; high - low > 1;) {
    const int middle = (low + high) / 2;
    (batch.values[middle].first_block <= blockIdx.x ? low : high) = middle;
  }
  return low;
}

__device__ int64_t digested_elements(const Batch& batch, int k, Fault* fault) {
  const DigestedValue& value = batch.values[k];
  if (value.rows < 0) return value.elements;
  const int64_t most = value.elements / value.width;
  const int64_t rows = batch.sizes[value.rows];
  if (rows >= 0 && rows <= most) return rows * value.width;
  if (threadIdx.x == 0) raise(fault, FaultKind::kDigestedRows, k, rows, most);
  return 0;
}

template <typename T>
__device__ DigestSums sums_of(const void* data, int64_t begin, int64_t end) {
  DigestSums sums;
  for (int64_t first = begin + threadIdx.x * kEight; first < end; first += kThreads * kEight) {
    add_eight(sums, static_cast<const T*>(data), first, end);
  }
  return sums;
}

__global__ void digest_rows_kernel(const __grid_constant__ Batch batch, Fault* fault) {
  const int k = value_of_block(batch);
  const DigestedValue& value = batch.values[k];
  const int64_t count = digested_elements(batch, k, fault);
  const int64_t begin = static_cast<int64_t>(blockIdx.x - value.first_block) * kBlockElements;
  if (begin >= count) return;  // padding
  const int64_t end = min(begin + kBlockElements, count);
  DigestSums sums;
  switch (value.element_size) {
    case 1:
      sums = sums_of<uint8_t>(value.data, begin, end);
      break;
    case 2:
      sums = sums_of<uint16_t>(value.data, begin, end);
      break;
    case 4:
      sums = sums_of<uint32_t>(value.data, begin, end);
      break;
    default:
      sums = sums_of<uint64_t>(value.data, begin, end);
  }
  add_to(batch.to + 2 * k, sums);
}

}  // namespace

void digest_sums(const void* x, int64_t n, int64_t element_size, int64_t* to, cudaStream_t stream) {
  check_call(cudaMemsetAsync(to, 0, 2 * sizeof(int64_t), stream), "filling with zeros");
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

void digest_rows(const DigestedValue* values, int64_t count, const int64_t* sizes, int64_t* to,
                 cudaStream_t stream) {
  check_call(cudaMemsetAsync(to, 0, 2 * count * sizeof(int64_t), stream), "filling with zeros");
  Batch batch{{}, static_cast<int>(count), sizes, reinterpret_cast<unsigned long long*>(to)};
  uint32_t blocks = 0;
  for (int64_t k = 0; k < count; ++k) {
    batch.values[k] = values[k];
    batch.values[k].first_block = blocks;
    blocks += (values[k].elements + kBlockElements - 1) / kBlockElements;
  }
  if (blocks == 0) return;
  // In order: on a stream of its own (side_stream.h) it has nothing to overlap with.
  launch_in_order(digest_rows_kernel, blocks, kThreads, 0, stream, batch, fault_record());
}

}  // namespace samebits::cuda
