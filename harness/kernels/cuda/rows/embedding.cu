// embedding.h on the card.

#include "harness/kernels/cuda/rows/launchers.h"
#include "harness/kernels/cuda/runtime/device.cuh"
#include "harness/kernels/cuda/runtime/launch.cuh"
#include "harness/kernels/cuda/runtime/sequences.cuh"

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

// Whether the token's id occurs from `first` on before it; every thread gets the answer.
__device__ bool occurred(const int64_t* ids, int64_t first, int64_t token) {
  bool found = false;
  for (int64_t t = first + lane(); t < token; t += kThreads) found = found || ids[t] == ids[token];
  return __syncthreads_or(found) != 0;
}

// sum + dy of each token from `first` to `end` that has this id, ascending, in one column a thread.
// Tokens are looked through kThreads at a time, and added one by one.
template <typename T>
__device__ float add_tokens(const Table& call, int64_t id, int64_t first, int64_t end,
                            int64_t column, const T* dy, float sum) {
  __shared__ bool same[kThreads];
  for (; first < end; first += kThreads) {
    const int64_t mine = first + lane();
    const bool match = mine < end && call.ids[mine] == id;
    __syncthreads();  // others may still read `same`
    same[lane()] = match;
    if (__syncthreads_or(match) == 0 || column >= call.width) continue;
    for (int i = 0; i < kThreads; ++i) {
      if (same[i]) sum = sum + load(dy[(first + i) * call.width + column]);
    }
  }
  return sum;
}

// Where the tokens of a group begin and end.
__device__ TokenRange tokens_of_group(const Sequences& call, int64_t group, Fault* fault) {
  if (call.count == 0) return {0, 0};
  return {tokens_of(call, group * call.count, fault).first,
          tokens_of(call, (group + 1) * call.count - 1, fault).end};
}

// Where the last sequence ends: tokens from there on are padding.
__device__ int64_t end_of_tokens(const Sequences& call, Fault* fault) {
  return tokens_of_group(call, call.groups - 1, fault).end;
}

// blockIdx.x: the token, which stands for its id if it is the first that has it. blockIdx.y: the
// columns, one a thread.
template <typename T>
__global__ void embedding_wgrad_kernel(Table call, Sequences sequences, const T* dy, float* sums,
                                       Fault* fault) {
  const int64_t token = blockIdx.x;
  const uint64_t row = row_of(call, token);
  const int64_t all = end_of_tokens(sequences, fault);
  if (token >= all || row >= static_cast<uint64_t>(call.rows)) return;
  if (occurred(call.ids, 0, token)) return;
  const int64_t id = call.ids[token];
  const int64_t column = static_cast<int64_t>(blockIdx.y) * kThreads + lane();
  const bool has_column = column < call.width;
  float* to = sums + static_cast<int64_t>(row) * call.width + column;
  if (sequences.groups == 1) {
    const float sum = add_tokens(call, id, token, all, column, dy, has_column ? *to : 0.0f);
    if (has_column) store(sum, *to);
    return;
  }
  GroupTree tree;
  for (int64_t group = 0; group < sequences.groups; ++group) {
    const TokenRange tokens = tokens_of_group(sequences, group, fault);
    tree.add(add_tokens(call, id, max(tokens.first, token), tokens.end, column, dy, 0.0f), group);
  }
  if (has_column) store(tree.sum(), *to);
}

// The same grid; a token stands for its id if it is the first of its group that has it.
template <typename T>
__global__ void embedding_wgrad_rows_kernel(Table call, Sequences sequences, const T* dy,
                                            float* of_tokens, int32_t* slots, Fault* fault) {
  const int64_t token = blockIdx.x;
  const uint64_t row = row_of(call, token);
  if (row >= static_cast<uint64_t>(call.rows)) return;
  int64_t group = 0;
  TokenRange tokens = tokens_of_group(sequences, 0, fault);
  while (token >= tokens.end && group + 1 < sequences.groups) {
    tokens = tokens_of_group(sequences, ++group, fault);
  }
  if (token < tokens.first || token >= tokens.end) return;  // padding
  if (occurred(call.ids, tokens.first, token)) return;
  const int64_t column = static_cast<int64_t>(blockIdx.y) * kThreads + lane();
  const float sum = add_tokens(call, call.ids[token], token, tokens.end, column, dy, 0.0f);
  if (column < call.width) of_tokens[token * call.width + column] = sum;
  if (blockIdx.y == 0 && lane() == 0) {
    slots[group * call.rows + static_cast<int64_t>(row)] = static_cast<int32_t>(token);
  }
}

dim3 grid_of(const Table& call) {
  return dim3(static_cast<unsigned>(call.tokens),
              static_cast<unsigned>((call.width + kThreads - 1) / kThreads));
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

void embedding_wgrad(const Table& call, const Sequences& sequences, const void* dy, float* sum,
                     cudaStream_t stream) {
  if (call.rows == 0 || call.width == 0 || call.tokens == 0) return;
  with_element(call.bf16, [&](auto element) {
    using T = decltype(element);
    launch_in_order(embedding_wgrad_kernel<T>, grid_of(call), kThreads, 0, stream, call, sequences,
                    static_cast<const T*>(dy), sum, fault_record());
  });
}

void embedding_wgrad_rows(const Table& call, const Sequences& sequences, const void* dy,
                          float* of_tokens, int32_t* slots, cudaStream_t stream) {
  if (call.rows == 0 || call.width == 0) return;
  check_call(cudaMemsetAsync(slots, 0xff, sequences.groups * call.rows * sizeof(int32_t), stream),
             "filling with -1");
  if (call.tokens == 0) return;
  with_element(call.bf16, [&](auto element) {
    using T = decltype(element);
    launch_in_order(embedding_wgrad_rows_kernel<T>, grid_of(call), kThreads, 0, stream, call,
                    sequences, static_cast<const T*>(dy), of_tokens, slots, fault_record());
  });
}

}  // namespace samebits::cuda
