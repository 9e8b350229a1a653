// embedding.h on the card.

#include "harness/kernels/cuda/rows/launchers.h"
#include "harness/kernels/cuda/runtime/device.cuh"
#include "harness/kernels/cuda/runtime/launch.cuh"

namespace samebits::cuda {
namespace {

constexpr int kThreads = 256;

__device__ int lane() { return static_cast<int>(threadIdx.x); }

// The row of an id, as an unsigned number: what is outside is `rows` or more, and no id overflows.
__device__ uint64_t row_of(const Table& call, int64_t token) {
  return static_cast<uint64_t>(call.ids[token]) - static_cast<uint64_t>(call.first_row);
}

__device__ void negative_zero(Bf16& out) { out.bits = 0x8000u; }
__device__ void negative_zero(float& out) { out = -0.0f; }

template <typename T>
__global__ void embedding_kernel(Table call, const T* weight, T* y) {
  wait_for_earlier_kernels();
  const int64_t token = blockIdx.x;
  const uint64_t row = row_of(call, token);
  const bool here = row < static_cast<uint64_t>(call.rows);
  const T* from = weight + (here ? static_cast<int64_t>(row) * call.width : 0);
  T* to = y + token * call.width;
  for (int64_t i = lane(); i < call.width; i += kThreads) {
    if (here) {
      to[i] = from[i];
    } else {
      negative_zero(to[i]);
    }
  }
}

// Whether the token's id occurs before it; every thread gets the answer.
__device__ bool occurred(const int64_t* ids, int64_t token) {
  bool found = false;
  for (int64_t t = lane(); t < token; t += kThreads) found = found || ids[t] == ids[token];
  return __syncthreads_or(found) != 0;
}

// blockIdx.x: the token, which stands for its id if it is the first that has it. blockIdx.y: the
// columns, one a thread. Tokens are looked through kThreads at a time, and added one by one.
template <typename T>
__global__ void embedding_wgrad_kernel(Table call, const T* dy, float* sums) {
  __shared__ bool same[kThreads];
  const int64_t token = blockIdx.x;
  const uint64_t row = row_of(call, token);
  if (row >= static_cast<uint64_t>(call.rows) || occurred(call.ids, token)) return;
  const int64_t id = call.ids[token];
  const int64_t column = static_cast<int64_t>(blockIdx.y) * kThreads + lane();
  float* to = sums + static_cast<int64_t>(row) * call.width + column;
  float sum = column < call.width ? *to : 0.0f;
  for (int64_t first = token; first < call.tokens; first += kThreads) {
    const int64_t mine = first + lane();
    const bool match = mine < call.tokens && call.ids[mine] == id;
    __syncthreads();  // others may still read `same`
    same[lane()] = match;
    if (__syncthreads_or(match) == 0 || column >= call.width) continue;
    for (int i = 0; i < kThreads; ++i) {
      if (same[i]) sum = sum + load(dy[(first + i) * call.width + column]);
    }
  }
  if (column < call.width) store(sum, *to);
}

}  // namespace

void embedding(const Table& call, const void* weight, void* y, cudaStream_t stream) {
  if (call.tokens == 0 || call.width == 0) return;
  with_element(call.bf16, [&](auto element) {
    using T = decltype(element);
    launch(embedding_kernel<T>, dim3(static_cast<unsigned>(call.tokens)), kThreads, 0, stream, call,
           static_cast<const T*>(weight), static_cast<T*>(y));
  });
}

void embedding_wgrad(const Table& call, const void* dy, float* sum, cudaStream_t stream) {
  if (call.rows == 0 || call.width == 0 || call.tokens == 0) return;
  with_element(call.bf16, [&](auto element) {
    using T = decltype(element);
    const dim3 grid(static_cast<unsigned>(call.tokens),
                    static_cast<unsigned>((call.width + kThreads - 1) / kThreads));
    launch_in_order(embedding_wgrad_kernel<T>, grid, kThreads, 0, stream, call,
                    static_cast<const T*>(dy), sum);
  });
}

}  // namespace samebits::cuda
