// embedding.h, log_softmax.h, sample.h: what runs over a row of the vocabulary or gathers from it.

#include <algorithm>

#include "harness/core/philox.h"
#include "harness/kernels/cuda/device.cuh"
#include "harness/kernels/cuda/launchers.h"
#include "harness/kernels/log_softmax.h"
#include "harness/kernels/sample.h"

namespace samebits::cuda {
namespace {

// One thread for each partial sum of a row.
constexpr int kThreads = kSoftmaxLanes;

__device__ int lane() { return static_cast<int>(threadIdx.x); }

// ---- Embedding ---------------------------------------------------------------------------------
// The row of an id, as an unsigned number: what is outside is `rows` or more, and no id overflows.
__device__ uint64_t row_of(const Table& call, int64_t token) {
  return static_cast<uint64_t>(call.ids[token]) - static_cast<uint64_t>(call.first_row);
}

__device__ void negative_zero(Bf16& out) { out.bits = 0x8000u; }
__device__ void negative_zero(float& out) { out = -0.0f; }

template <typename T>
__global__ void embedding_kernel(Table call, const T* weight, T* y) {
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
__global__ void embedding_wgrad_kernel(Table call, const T* dy, T* dweight) {
  __shared__ bool same[kThreads];
  const int64_t token = blockIdx.x;
  const uint64_t row = row_of(call, token);
  if (row >= static_cast<uint64_t>(call.rows) || occurred(call.ids, token)) return;
  const int64_t id = call.ids[token];
  const int64_t column = static_cast<int64_t>(blockIdx.y) * kThreads + lane();
  float sum = 0.0f;
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
  if (column < call.width) store(sum, dweight[static_cast<int64_t>(row) * call.width + column]);
}

// ---- Softmax over a row ------------------------------------------------------------------------
// The maximum and the strided sum of term(i), i < n; every thread of the block gets them.
template <typename Term>
__device__ float row_max(int64_t n, float* shared, Term term) {
  float most = -INFINITY;
#pragma unroll 8  // loads go ahead of what waits for the one before
  for (int64_t i = lane(); i < n; i += kThreads) {
    const float value = term(i);
    most = value > most ? value : most;
  }
  return max_block<kThreads>(most, shared);
}

template <typename Term>
__device__ float row_sum(int64_t n, float* shared, Term term) {
  float partial = 0.0f;
#pragma unroll 8  // loads go ahead of what waits for the one before
  for (int64_t i = lane(); i < n; i += kThreads) partial = partial + term(i);
  return fold_block<kThreads>(partial, shared);
}

template <typename T>
__device__ float log_sum_exp(const T* x, int64_t n, float* shared) {
  const float m = row_max(n, shared, [x](int64_t i) { return load(x[i]); });
  const float sum = row_sum(n, shared, [x, m](int64_t i) { return exp_f32(load(x[i]) - m); });
  return canonical_nan_f32(m + log_f32(sum));
}

__device__ bool is_target(const Logits& size, int64_t target) {
  return target >= 0 && target < size.vocab;
}

template <typename T>
__global__ void log_softmax_gather_kernel(Logits size, const T* logits, const int64_t* targets,
                                          float* logprob, float* lse, Fault* fault) {
  __shared__ float shared[kThreads];
  const int64_t row = blockIdx.x;
  const T* x = logits + row * size.width;
  const float sum = log_sum_exp(x, size.vocab, shared);
  if (lane() != 0) return;
  const int64_t target = targets[row];
  lse[row] = sum;
  if (is_target(size, target)) {
    logprob[row] = canonical_nan_f32(load(x[target]) - sum);
  } else {
    raise(fault, FaultKind::kTarget, row, target, size.vocab);
    logprob[row] = f32_from_bits(kNanF32);
  }
}

// Columns of one row that a block of the backward takes.
constexpr int64_t kBackwardColumns = 16 * kThreads;

template <typename T>
__global__ void log_softmax_gather_backward_kernel(Logits size, const float* dlogprob,
                                                   const T* logits, const int64_t* targets,
                                                   const float* lse, T* dlogits, Fault* fault) {
  const int64_t row = blockIdx.x;
  const int64_t target = targets[row];
  if (!is_target(size, target) && blockIdx.y == 0 && lane() == 0) {
    raise(fault, FaultKind::kTarget, row, target, size.vocab);
  }
  const T* x = logits + row * size.width;
  T* dx = dlogits + row * size.width;
  const int64_t first = static_cast<int64_t>(blockIdx.y) * kBackwardColumns;
  const int64_t end = min(first + kBackwardColumns, size.width);
  for (int64_t i = first + lane(); i < end; i += kThreads) {
    if (i < size.vocab) {
      const float t = i == target ? 1.0f : 0.0f;
      store(dlogprob[row] * (t - exp_f32(load(x[i]) - lse[row])), dx[i]);
    } else {
      store(0.0f, dx[i]);
    }
  }
}

// ---- Argmax ------------------------------------------------------------------------------------
struct Best {
  float value;
  int64_t id;  // -1: nothing yet
};

// For ids in ascending order: among equals the first stays, and a NaN never gets in.
__device__ void consider(float value, int64_t id, Best& best) {
  if (best.id < 0 ? value == value : value > best.value) best = {value, id};
}

__device__ Best better(const Best& a, const Best& b) {
  if (a.id < 0 || b.id < 0) return a.id < 0 ? b : a;
  return b.value > a.value || (b.value == a.value && b.id < a.id) ? b : a;
}

// The best of the block's, to every thread; id 0 where there is none. The largest value with the
// lowest id is one and the same in whatever order it is looked for.
__device__ int64_t best_of_block(const Best& mine, Best* shared /* [kThreads] */) {
  shared[lane()] = mine;
  __syncthreads();
  for (int width = kThreads / 2; width > 0; width /= 2) {
    if (lane() < width) shared[lane()] = better(shared[lane()], shared[lane() + width]);
    __syncthreads();
  }
  return shared[0].id < 0 ? 0 : shared[0].id;
}

// ---- Sample ------------------------------------------------------------------------------------
__device__ float gumbel_score(float z, uint32_t word) {
  const float u = (static_cast<float>(static_cast<int32_t>(word >> 9)) + 0.5f) * 0x1p-23f;
  return z - log_f32(-log_f32(u));
}

template <typename T>
__device__ Best best_logit(const T* x, int64_t vocab) {
  Best best = {0.0f, -1};
#pragma unroll 8
  for (int64_t i = lane(); i < vocab; i += kThreads) consider(load(x[i]), i, best);
  return best;
}

// A thread takes four neighbouring ids: one counter's words.
template <typename T>
__device__ Best best_score(const T* x, int64_t vocab, const int64_t* key, const uint8_t* kept,
                           const Draw& draw) {
  Best best = {0.0f, -1};
  for (int64_t group = lane(); group * 4 < vocab; group += kThreads) {
    const auto words =
        philox4x32_10({static_cast<uint32_t>(group), static_cast<uint32_t>(key[1]),
                       static_cast<uint32_t>(key[0]), kSampleDomain},
                      {static_cast<uint32_t>(draw.seed), static_cast<uint32_t>(draw.seed >> 32)});
#pragma unroll
    for (int word = 0; word < 4; ++word) {
      const int64_t id = group * 4 + word;
      if (id >= vocab || (kept != nullptr && kept[id] == 0)) continue;
      consider(gumbel_score(load(x[id]) / draw.temperature, words[word]), id, best);
    }
  }
  return best;
}

// By the row's first thread; a key outside goes on with its low bits.
__device__ void check_key(const int64_t* keys, int64_t row, Fault* fault) {
  constexpr int64_t kLimit = int64_t{1} << 32;
  for (int64_t i = 2 * row; i < 2 * row + 2; ++i) {
    if (keys[i] < 0 || keys[i] >= kLimit) raise(fault, FaultKind::kSampleKey, i, keys[i], kLimit);
  }
}

template <typename T>
__global__ void sample_kernel(Logits size, const T* logits, Draw draw, int64_t* token,
                              float* logprob, Fault* fault) {
  __shared__ float shared[kThreads];
  __shared__ Best bests[kThreads];
  const int64_t row = blockIdx.x;
  if (lane() == 0) check_key(draw.keys, row, fault);
  const T* x = logits + row * size.width;
  const uint8_t* kept = draw.kept == nullptr ? nullptr : draw.kept + row * size.vocab;
  // z = x / 1 is x; filters do not apply then.
  const Best mine = draw.temperature == 0.0f
                        ? best_logit(x, size.vocab)
                        : best_score(x, size.vocab, draw.keys + 2 * row, kept, draw);
  const int64_t id = best_of_block(mine, bests);
  const float lse = log_sum_exp(x, size.vocab, shared);
  if (lane() != 0) return;
  token[row] = id;
  logprob[row] = canonical_nan_f32(load(x[id]) - lse);
}

// ---- Filters -----------------------------------------------------------------------------------
// Ascending with z; both zeros are 0, a NaN is below everything.
__device__ int32_t order_key(float z) {
  const uint32_t bits = f32_bits(z);
  const auto magnitude = static_cast<int32_t>(bits & 0x7fffffffu);
  if (z != z) return INT32_MIN;
  return bits >> 31 != 0 ? -magnitude : magnitude;
}

template <typename T>
__global__ void sample_order_kernel(Logits size, const T* logits, float temperature,
                                    int32_t* order) {
  const int64_t row = blockIdx.x;
  const int64_t i = static_cast<int64_t>(blockIdx.y) * kThreads + lane();
  if (i >= size.vocab) return;
  order[row * size.vocab + i] = order_key(load(logits[row * size.width + i]) / temperature);
}

// probability = softmax of x / temperature; a thread reads back only what it wrote itself.
template <typename T>
__device__ void softmax(const T* x, int64_t n, float temperature, float* probability,
                        float* shared) {
  const float m = row_max(n, shared, [=](int64_t i) { return load(x[i]) / temperature; });
  for (int64_t i = lane(); i < n; i += kThreads) {
    probability[i] = exp_f32(load(x[i]) / temperature - m);
  }
  const float sum = row_sum(n, shared, [probability](int64_t i) { return probability[i]; });
  for (int64_t i = lane(); i < n; i += kThreads) probability[i] = probability[i] / sum;
}

// How far the first thread has come.
struct Walk {
  float cumulative;
  int passed;  // of the last ids looked at, how many were kept
  bool done;
};

// Keeps ids up to and with the one that makes the sum reach top_p.
__device__ Walk walk_on(Walk walk, const float* next, int count, float top_p) {
  walk.passed = 0;
  while (walk.passed < count && !walk.done) {
    walk.cumulative = walk.cumulative + next[walk.passed];
    walk.done = walk.cumulative >= top_p;
    ++walk.passed;
  }
  return walk;
}

// `ids` in their order, `limit` of them at most. The block reads kThreads probabilities at a time
// and its first thread alone adds them. probability null: no top_p, all up to the limit are kept.
__device__ void keep(const int64_t* ids, int64_t limit, float top_p, const float* probability,
                     uint8_t* kept, float* next /* [kThreads] */) {
  __shared__ Walk walk;
  if (lane() == 0) walk = {0.0f, 0, false};
  __syncthreads();
  for (int64_t first = 0; first < limit && !walk.done; first += kThreads) {
    const int count = static_cast<int>(min(limit - first, static_cast<int64_t>(kThreads)));
    const int64_t id = lane() < count ? ids[first + lane()] : 0;
    if (probability != nullptr && lane() < count) next[lane()] = probability[id];
    __syncthreads();
    if (lane() == 0) {
      walk = probability != nullptr ? walk_on(walk, next, count, top_p) : Walk{0.0f, count, false};
    }
    __syncthreads();
    if (lane() < walk.passed) kept[id] = 1;
  }
}

template <typename T>
__global__ void sample_filter_kernel(Logits size, const T* logits, float temperature,
                                     const int64_t* ids, int64_t top_k, float top_p,
                                     float* probability, uint8_t* kept) {
  __shared__ float shared[kThreads];
  const int64_t row = blockIdx.x;
  const int64_t first = row * size.vocab;
  const bool has_top_p = top_p < 1.0f;
  if (has_top_p) {
    softmax(logits + row * size.width, size.vocab, temperature, probability + first, shared);
    __syncthreads();  // threads read what others wrote
  }
  keep(ids + first, top_k > 0 ? min(top_k, size.vocab) : size.vocab, top_p,
       has_top_p ? probability + first : nullptr, kept + first, shared);
}

// ---- Launches ----------------------------------------------------------------------------------
// Calls f with an element of the dtype.
template <typename F>
void with_element(bool bf16, F f) {
  if (bf16) {
    f(Bf16{});
  } else {
    f(float{});
  }
}

// blockIdx.x: rows; blockIdx.y: pieces of `columns`.
dim3 grid(int64_t rows, int64_t width, int64_t columns) {
  return {static_cast<unsigned>(rows), static_cast<unsigned>((width + columns - 1) / columns)};
}

}  // namespace

void embedding(const Table& call, const void* weight, void* y, cudaStream_t stream) {
  if (call.tokens == 0 || call.width == 0) return;
  with_element(call.bf16, [&](auto element) {
    using T = decltype(element);
    embedding_kernel<<<static_cast<unsigned>(call.tokens), kThreads, 0, stream>>>(
        call, static_cast<const T*>(weight), static_cast<T*>(y));
  });
}

void embedding_wgrad(const Table& call, const void* dy, void* dweight, cudaStream_t stream) {
  if (call.rows == 0 || call.width == 0) return;
  with_element(call.bf16, [&](auto element) {
    using T = decltype(element);
    const auto bytes = static_cast<size_t>(call.rows * call.width) * sizeof(T);
    cudaMemsetAsync(dweight, 0, bytes, stream);
    if (call.tokens == 0) return;
    embedding_wgrad_kernel<<<grid(call.tokens, call.width, kThreads), kThreads, 0, stream>>>(
        call, static_cast<const T*>(dy), static_cast<T*>(dweight));
  });
}

void log_softmax_gather(const Logits& size, const void* logits, const int64_t* targets,
                        float* logprob, float* lse, cudaStream_t stream) {
  if (size.rows == 0) return;
  with_element(size.bf16, [&](auto element) {
    using T = decltype(element);
    log_softmax_gather_kernel<<<static_cast<unsigned>(size.rows), kThreads, 0, stream>>>(
        size, static_cast<const T*>(logits), targets, logprob, lse, fault_record());
  });
}

void log_softmax_gather_backward(const Logits& size, const float* dlogprob, const void* logits,
                                 const int64_t* targets, const float* lse, void* dlogits,
                                 cudaStream_t stream) {
  if (size.rows == 0) return;
  with_element(size.bf16, [&](auto element) {
    using T = decltype(element);
    log_softmax_gather_backward_kernel<<<grid(size.rows, size.width, kBackwardColumns), kThreads, 0,
                                         stream>>>(size, dlogprob, static_cast<const T*>(logits),
                                                   targets, lse, static_cast<T*>(dlogits),
                                                   fault_record());
  });
}

void sample(const Logits& size, const void* logits, const Draw& draw, int64_t* token,
            float* logprob, cudaStream_t stream) {
  if (size.rows == 0) return;
  with_element(size.bf16, [&](auto element) {
    using T = decltype(element);
    sample_kernel<<<static_cast<unsigned>(size.rows), kThreads, 0, stream>>>(
        size, static_cast<const T*>(logits), draw, token, logprob, fault_record());
  });
}

void sample_order(const Logits& size, const void* logits, float temperature, int32_t* order,
                  cudaStream_t stream) {
  if (size.rows == 0) return;
  with_element(size.bf16, [&](auto element) {
    using T = decltype(element);
    sample_order_kernel<<<grid(size.rows, size.vocab, kThreads), kThreads, 0, stream>>>(
        size, static_cast<const T*>(logits), temperature, order);
  });
}

void sample_filter(const Logits& size, const void* logits, float temperature, const int64_t* ids,
                   int64_t top_k, float top_p, float* probability, uint8_t* kept,
                   cudaStream_t stream) {
  if (size.rows == 0) return;
  cudaMemsetAsync(kept, 0, static_cast<size_t>(size.rows * size.vocab), stream);
  with_element(size.bf16, [&](auto element) {
    using T = decltype(element);
    sample_filter_kernel<<<static_cast<unsigned>(size.rows), kThreads, 0, stream>>>(
        size, static_cast<const T*>(logits), temperature, ids, top_k, top_p, probability, kept);
  });
}

}  // namespace samebits::cuda
