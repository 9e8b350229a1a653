// sample.h on the card.

#include "harness/kernels/cuda/rows/sample.cuh"
#include "harness/kernels/cuda/rows/softmax.cuh"
#include "harness/kernels/cuda/runtime/launch.cuh"

namespace samebits::cuda {
namespace {

constexpr int kThreads = kSoftmaxThreads;

__device__ int lane() { return softmax_lane(); }

// ---- Argmax ------------------------------------------------------------------------------------
// The best of the block's, to every thread. `shared`: a place for each warp.
constexpr int kWarps = kThreads / 32;
__device__ Best best_of_block(const Best& mine, Best* shared /* [kWarps] */) {
  const Best own = best_of_warp(mine);
  __syncthreads();
  if (lane() % 32 == 0) shared[lane() / 32] = own;
  __syncthreads();
  return best_of_warp(shared[lane() % kWarps]);
}

// ---- Sample ------------------------------------------------------------------------------------
// Of ids first ... end - 1.
template <typename T>
__device__ Best best_logit(const T* x, int64_t first, int64_t end, float& largest) {
  Best best = {0.0f, -1};
#pragma unroll 8  // loads go ahead
  for (int64_t i = first + lane(); i < end; i += kThreads) consider(load(x[i]), i, best);
  if (best.id >= 0) largest = best.value;
  return best;
}

// The block's best score so far, as an integer that orders as scores do. It only rises, and is
// always the score of some id, so an id that surely scores less cannot win, whenever it is asked.
__device__ int32_t ordered(float score) {
  const auto bits = static_cast<int32_t>(f32_bits(score));
  return bits < 0 ? bits ^ 0x7fffffff : bits;
}
__device__ float score_of(int32_t ordered) {
  return f32_from_bits(static_cast<uint32_t>(ordered < 0 ? ordered ^ 0x7fffffff : ordered));
}
constexpr int32_t kNoScore = INT32_MIN;  // below every score; as a score it is NaN

// At least the score, with a few operations in place of two logarithms and a division: with
// v = 1 - u, -log(u) >= v, so the score is at most z - log(v). The margin is more than all that is
// rounded here or there, NaN where the score may be anything.
__device__ float most_of_score(float x, float inverse_temperature, uint32_t word) {
  const float z = x * inverse_temperature;
  const float v = (8388607.5f - static_cast<float>(static_cast<int32_t>(word >> 9))) * 0x1p-23f;
  constexpr float kLog2 = 0.693147181f;
  return z - kLog2 * __log2f(v) + (0.01f + 1e-5f * fabsf(z));
}

// A thread takes four neighbouring ids: one counter's words. `first` is a multiple of four.
// `most`: kNoScore, shared by the block. largest: of all logits, kept or not.
template <typename T>
__device__ Best best_score(const T* x, int64_t first, int64_t end, const int64_t* key,
                           const uint8_t* kept, const Draw& draw, int32_t* most, float& largest) {
  Best best = {0.0f, -1};
  const float inverse = 1.0f / draw.temperature;
  for (int64_t four = first + 4 * lane(); four < end; four += 4 * kThreads) {
    const auto words = words_of_four(four, key, draw.seed);
    const float reached = score_of(*static_cast<volatile int32_t*>(most));
    float logits[4];
    bool may_win[4];
#pragma unroll
    for (int word = 0; word < 4; ++word) {
      const int64_t id = four + word;
      logits[word] = id < end ? load(x[id]) : -INFINITY;
      largest = larger(largest, logits[word]);
      const bool is_there = id < end && (kept == nullptr || kept[id] != 0);
      may_win[word] = is_there && !(most_of_score(logits[word], inverse, words[word]) < reached);
    }
#pragma unroll
    for (int word = 0; word < 4; ++word) {
      if (!may_win[word]) continue;
      consider(gumbel_score(logits[word] / draw.temperature, words[word]), four + word, best);
    }
    if (best.id >= 0 && !(best.value <= reached)) atomicMax(most, ordered(best.value));
  }
  return best;
}

// What stands in the workspace: the best of each chunk beside what the sum needs.
struct Candidates {
  RowSums sums;
  float* values;  // [rows, chunks]
  int32_t* ids;
};

// Grid: rows, chunks.
template <typename T>
__global__ void candidates_kernel(Logits size, const T* logits, Draw draw, Candidates to,
                                  Fault* fault) {
  __shared__ float shared[kThreads];
  __shared__ Best bests[kWarps];
  __shared__ int32_t most_so_far;
  if (lane() == 0) most_so_far = kNoScore;
  wait_for_earlier_kernels();
  __syncthreads();
  const int64_t row = blockIdx.x;
  if (blockIdx.y == 0 && lane() == 0) check_key(draw.keys + 2 * row, row, fault);
  const T* x = logits + row * size.width;
  const uint8_t* kept = draw.kept == nullptr ? nullptr : draw.kept + row * size.vocab;
  const int64_t first = blockIdx.y * to.sums.width;
  const int64_t end = min(first + to.sums.width, size.vocab);
  float largest = -INFINITY;
  // Filters do not apply at temperature 0.
  const Best mine = draw.temperature == 0.0f ? best_logit(x, first, end, largest)
                                             : best_score(x, first, end, draw.keys + 2 * row, kept,
                                                          draw, &most_so_far, largest);
  const Best best = best_of_block(mine, bests);
  const float most = max_block<kThreads>(largest, shared);
  if (lane() != 0) return;
  const int64_t at = row * to.sums.chunks + blockIdx.y;
  to.sums.note_maximum(row, blockIdx.y, most);
  to.values[at] = best.value;
  to.ids[at] = static_cast<int32_t>(best.id);
}

template <typename T>
struct Choose {
  Logits size;
  const T* logits;
  Candidates from;
  int64_t* token;
  float* logprob;

  __device__ void operator()(int64_t row) const {
    __shared__ float shared[kThreads];
    __shared__ Best bests[kWarps];
    static_assert(kMostChunks <= kThreads);
    const int64_t at = row * from.sums.chunks + lane();
    const bool has_one = lane() < from.sums.chunks;
    const Best best =
        best_of_block(has_one ? Best{from.values[at], from.ids[at]} : Best{0.0f, -1}, bests);
    const float lse = log_sum_exp(from.sums, row, shared);
    if (lane() != 0) return;
    const int64_t id = best.id < 0 ? 0 : best.id;  // 0 where nothing can win
    token[row] = id;
    logprob[row] = canonical_nan_f32(load(logits[row * size.width + id]) - lse);
  }
};

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
  const float m = row_max(0, n, shared, [=](int64_t i) { return load(x[i]) / temperature; });
  for (int64_t i = lane(); i < n; i += kThreads) {
    probability[i] = exp_f32(load(x[i]) / temperature - m);
  }
  float partial = 0.0f;
#pragma unroll 8
  for (int64_t i = lane(); i < n; i += kThreads) partial = partial + probability[i];
  const float sum = fold_block<kThreads>(partial, shared);
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

}  // namespace

int64_t sample_workspace(const Logits& size) {
  return row_sums_workspace(size) + 2 * size.rows * kMostChunks;
}

void sample(const Logits& size, const void* logits, const Draw& draw, float* workspace,
            int64_t* token, float* logprob, cudaStream_t stream) {
  if (size.rows == 0) return;
  const RowSums sums = row_sums(size, workspace);
  float* values = workspace + row_sums_workspace(size);
  const Candidates candidates{sums, values,
                              reinterpret_cast<int32_t*>(values + size.rows * kMostChunks)};
  const auto rows = static_cast<unsigned>(size.rows);
  with_element(size.bf16, [&](auto element) {
    using T = decltype(element);
    const auto* x = static_cast<const T*>(logits);
    launch(candidates_kernel<T>, dim3(rows, static_cast<unsigned>(sums.chunks)), kThreads, 0,
           stream, size, x, draw, candidates, fault_record());
    add_row_partials(size, x, sums, Choose<T>{size, x, candidates, token, logprob}, stream);
  });
}

void sample_order(const Logits& size, const void* logits, float temperature, int32_t* order,
                  cudaStream_t stream) {
  if (size.rows == 0) return;
  with_element(size.bf16, [&](auto element) {
    using T = decltype(element);
    const dim3 grid(static_cast<unsigned>(size.rows),
                    static_cast<unsigned>((size.vocab + kThreads - 1) / kThreads));
    launch_in_order(sample_order_kernel<T>, grid, kThreads, 0, stream, size,
                    static_cast<const T*>(logits), temperature, order);
  });
}

void sample_filter(const Logits& size, const void* logits, float temperature, const int64_t* ids,
                   int64_t top_k, float top_p, float* probability, uint8_t* kept,
                   cudaStream_t stream) {
  if (size.rows == 0) return;
  check_call(cudaMemsetAsync(kept, 0, static_cast<size_t>(size.rows * size.vocab), stream),
             "filling with zeros");
  with_element(size.bf16, [&](auto element) {
    using T = decltype(element);
    launch_in_order(sample_filter_kernel<T>, static_cast<unsigned>(size.rows), kThreads, 0, stream,
                    size, static_cast<const T*>(logits), temperature, ids, top_k, top_p,
                    probability, kept);
  });
}

}  // namespace samebits::cuda
