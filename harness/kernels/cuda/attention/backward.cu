// Attention's gradients, in two passes that share nothing, as on the CPU: blocks of 64 queries of a
// head give dq, blocks of 64 keys of a key-value head give dk and dv. Each recomputes the scores.
// What backward_wide.cu does not take: heads of more than 128 elements, memory that is not aligned,
// float32.

#include "harness/kernels/cuda/attention/attention.cuh"
#include "harness/kernels/cuda/attention/backward.cuh"
#include "harness/kernels/cuda/runtime/launch.cuh"

namespace samebits::cuda {
namespace {

constexpr int kThreads = 128;

// delta: a row of eight neighbouring threads, one for each partial sum.
template <typename T>
__global__ void delta_kernel(int64_t rows, int64_t dim, const T* dout, const T* out, float* delta) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * (kThreads / 8) + threadIdx.x / 8;
  const int lane = static_cast<int>(threadIdx.x % 8);
  float sum = 0.0f;
  if (row < rows) {
    for (int64_t d = lane; d < dim; d += 8) {
      sum = sum + load(dout[row * dim + d]) * load(out[row * dim + d]);
    }
  }
  for (int width = 1; width < 8; width *= 2) {
    sum = sum + __shfl_xor_sync(0xffffffffu, sum, width);
  }
  if (row < rows && lane == 0) delta[row] = sum;
}

template <typename T>
struct Tensors {
  const T* dout;
  const T* q;
  const T* k;
  const T* v;
  const float* lse;    // [tokens, H]
  const float* delta;  // [tokens, H]
  T* dq;
  T* dk;
  T* dv;
};

// A block's 64 positions of one sequence.
struct Block {
  SequencePart part;
  int64_t first;  // position
  int count;
};

__device__ Block find_block(const Attention& size, Fault* fault) {
  Block block{find_part(size, 1, kAttentionTile, blockIdx.x, fault), 0, 0};
  if (block.part.sequence < 0) return block;
  block.first = block.part.part * kAttentionTile;
  const int64_t left = block.part.length - block.first;
  block.count = static_cast<int>(left < kAttentionTile ? left : kAttentionTile);
  return block;
}

__device__ int tile_count(const Block& block, int64_t first) {
  const int64_t left = block.part.length - first;
  return static_cast<int>(left < kAttentionTile ? left : kAttentionTile);
}

// p and ds of one pair from its two chains (flash_attention.h).
__device__ void gradient_of_score(float& s, float& dp, float scale, float lse, float delta) {
  s = exp_f32(s * scale - lse);
  dp = (s * (dp - delta)) * scale;
}

// ---- bf16: four warps of 16 rows ---------------------------------------------------------------
template <int kDim>
__device__ void fetch_head(const SharedTile<kDim>& tile, const Attention& size, const Block& block,
                           const uint16_t* x, int64_t heads, int64_t head, int64_t first, int count,
                           bool is_aligned) {
  const Keys place{Pages{}, heads * size.head_dim, block.part.start, 0};
  fetch_keys<kDim, kThreads>(tile, x + head * size.head_dim, place, first, count,
                             static_cast<int>(size.head_dim), is_aligned, /*fault=*/nullptr);
}

// The block's own two tiles, and two stages of the two that it walks through: one at work, one on
// its way.
template <int kDim>
struct Tiles {
  uint16_t* shared;

  __device__ SharedTile<kDim> at(int i) const {
    return SharedTile<kDim>{shared + i * kAttentionTile * kDim};
  }
  __device__ SharedTile<kDim> own(int i) const { return at(i); }
  __device__ SharedTile<kDim> walked(int64_t step, int i) const {
    return at(2 + static_cast<int>(step % 2) * 2 + i);
  }
};

template <int kDim>
__device__ void store_rows(const float (&c)[kDim / 8][4], const Attention& size, const Block& block,
                           uint16_t* x, int64_t heads, int64_t head, int warp, int lane) {
#pragma unroll
  for (int d = 0; d < kDim / 8; ++d) {
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const int row = warp * 16 + lane / 4 + e / 2 * 8;
      const int column = d * 8 + lane % 4 * 2 + e % 2;
      if (row >= block.count || column >= size.head_dim) continue;
      x[((block.part.start + block.first + row) * heads + head) * size.head_dim + column] =
          f32_to_bf16(c[d][e]);
    }
  }
}

template <int kDim>
__global__ void __launch_bounds__(kThreads)
    query_gradients_bf16_kernel(Attention size, Tensors<uint16_t> t, bool is_aligned,
                                Fault* fault) {
  extern __shared__ __align__(128) uint16_t shared[];
  const Tiles<kDim> tiles{shared};
  const SharedTile<kDim> q = tiles.own(0);
  const SharedTile<kDim> dout = tiles.own(1);
  const Block block = find_block(size, fault);
  if (block.count <= 0) return;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int warp = static_cast<int>(threadIdx.x / 32);
  const int64_t head = blockIdx.y;
  const int64_t kv_head = head / (size.heads / size.kv_heads);
  fetch_head(q, size, block, t.q, size.heads, head, block.first, block.count, is_aligned);
  fetch_head(dout, size, block, t.dout, size.heads, head, block.first, block.count, is_aligned);
  const auto fetch = [&](int64_t first) {
    if (first <= block.first) {
      const int count = tile_count(block, first);
      const int64_t step = first / kAttentionTile;
      fetch_head(tiles.walked(step, 0), size, block, t.k, size.kv_heads, kv_head, first, count,
                 is_aligned);
      fetch_head(tiles.walked(step, 1), size, block, t.v, size.kv_heads, kv_head, first, count,
                 is_aligned);
    }
    commit_copies();
  };
  fetch(0);

  float lse[2] = {};
  float delta[2] = {};
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int row = warp * 16 + lane / 4 + h * 8;
    if (row >= block.count) continue;
    const int64_t at = (block.part.start + block.first + row) * size.heads + head;
    lse[h] = t.lse[at];
    delta[h] = t.delta[at];
  }
  float dq[kDim / 8][4] = {};
  for (int64_t first = 0; first <= block.first; first += kAttentionTile) {
    fetch(first + kAttentionTile);
    wait_copies<1>();
    __syncthreads();
    const SharedTile<kDim> k = tiles.walked(first / kAttentionTile, 0);
    const SharedTile<kDim> v = tiles.walked(first / kAttentionTile, 1);
    float s[8][4] = {};
    float dp[8][4] = {};
    multiply_rows(s, q, warp * 16, k, lane);
    multiply_rows(dp, dout, warp * 16, v, lane);
#pragma unroll
    for (int j = 0; j < 8; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int row = warp * 16 + lane / 4 + e / 2 * 8;
        const int64_t key = first + j * 8 + lane % 4 * 2 + e % 2;
        gradient_of_score(s[j][e], dp[j][e], size.scale, lse[e / 2], delta[e / 2]);
        if (row >= block.count || key > block.first + row) dp[j][e] = 0.0f;
      }
    }
    accumulate_rows<kDim>(dq, dp, k, lane);
    __syncthreads();  // the stage may be written again
  }
  store_rows<kDim>(dq, size, block, t.dq, size.heads, head, warp, lane);
}

// Rows are keys here, columns queries.
template <int kDim>
__global__ void __launch_bounds__(kThreads)
    key_gradients_bf16_kernel(Attention size, Tensors<uint16_t> t, bool is_aligned, Fault* fault) {
  extern __shared__ __align__(128) uint16_t shared[];
  const Tiles<kDim> tiles{shared};
  const SharedTile<kDim> k = tiles.own(0);
  const SharedTile<kDim> v = tiles.own(1);
  __shared__ float lses[2][kAttentionTile];
  __shared__ float deltas[2][kAttentionTile];
  const Block block = find_block(size, fault);
  if (block.count <= 0) return;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int warp = static_cast<int>(threadIdx.x / 32);
  const int64_t kv_head = blockIdx.y;
  const int64_t group = size.heads / size.kv_heads;
  fetch_head(k, size, block, t.k, size.kv_heads, kv_head, block.first, block.count, is_aligned);
  fetch_head(v, size, block, t.v, size.kv_heads, kv_head, block.first, block.count, is_aligned);

  // A step is a query head and a tile of its queries.
  const int64_t tiles_of_head =
      (block.part.length - block.first + kAttentionTile - 1) / kAttentionTile;
  const int64_t steps = group * tiles_of_head;
  const auto head_of = [&](int64_t step) { return kv_head * group + step / tiles_of_head; };
  const auto first_of = [&](int64_t step) {
    return block.first + step % tiles_of_head * kAttentionTile;
  };
  const auto fetch = [&](int64_t step) {
    if (step < steps) {
      const int64_t head = head_of(step);
      const int64_t first = first_of(step);
      const int count = tile_count(block, first);
      fetch_head(tiles.walked(step, 0), size, block, t.q, size.heads, head, first, count,
                 is_aligned);
      fetch_head(tiles.walked(step, 1), size, block, t.dout, size.heads, head, first, count,
                 is_aligned);
      for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) {
        const int64_t at = (block.part.start + first + i) * size.heads + head;
        copy_4(&lses[step % 2][i], t.lse + at);
        copy_4(&deltas[step % 2][i], t.delta + at);
      }
    }
    commit_copies();
  };

  float dk[kDim / 8][4] = {};
  float dv[kDim / 8][4] = {};
  fetch(0);
  for (int64_t at = 0; at < steps; ++at) {
    fetch(at + 1);
    wait_copies<1>();
    __syncthreads();
    const SharedTile<kDim> q = tiles.walked(at, 0);
    const SharedTile<kDim> dout = tiles.walked(at, 1);
    const int64_t first = first_of(at);
    const int count = tile_count(block, first);
    float s[8][4] = {};
    float dp[8][4] = {};
    multiply_rows(s, k, warp * 16, q, lane);
    multiply_rows(dp, v, warp * 16, dout, lane);
#pragma unroll
    for (int j = 0; j < 8; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int64_t key = block.first + warp * 16 + lane / 4 + e / 2 * 8;
        const int query = j * 8 + lane % 4 * 2 + e % 2;
        if (query < count && key <= first + query) {
          gradient_of_score(s[j][e], dp[j][e], size.scale, lses[at % 2][query],
                            deltas[at % 2][query]);
        } else {
          s[j][e] = 0.0f;
          dp[j][e] = 0.0f;
        }
      }
    }
    accumulate_rows<kDim>(dv, s, dout, lane);
    accumulate_rows<kDim>(dk, dp, q, lane);
    __syncthreads();  // the stage may be written again
  }
  store_rows<kDim>(dk, size, block, t.dk, size.kv_heads, kv_head, warp, lane);
  store_rows<kDim>(dv, size, block, t.dv, size.kv_heads, kv_head, warp, lane);
}

// ---- float32: a block a row --------------------------------------------------------------------
struct Pair {
  float p;
  float ds;
};

__device__ Pair pair_f32(const Attention& size, const Tensors<float>& t, int64_t query, int64_t key,
                         int64_t head, int64_t kv_head) {
  const int64_t dim = size.head_dim;
  const int64_t row = query * size.heads + head;
  const int64_t at = (key * size.kv_heads + kv_head) * dim;
  float s = chain_f32(t.q + row * dim, t.k + at, dim);
  float dp = chain_f32(t.dout + row * dim, t.v + at, dim);
  gradient_of_score(s, dp, size.scale, t.lse[row], t.delta[row]);
  return {s, dp};
}

// Dynamic shared memory: head_dim floats.
__global__ void __launch_bounds__(kThreads)
    query_gradients_f32_kernel(Attention size, Tensors<float> t, Fault* fault) {
  extern __shared__ float dq[];
  __shared__ float ds[kAttentionTile];
  const Block block = find_block(size, fault);
  if (static_cast<int>(blockIdx.z) >= block.count) return;
  const int64_t dim = size.head_dim;
  const int64_t head = blockIdx.y;
  const int64_t kv_head = head / (size.heads / size.kv_heads);
  const int64_t position = block.first + blockIdx.z;
  const int64_t query = block.part.start + position;
  for (int64_t d = threadIdx.x; d < dim; d += kThreads) dq[d] = 0.0f;
  for (int64_t first = 0; first <= block.first; first += kAttentionTile) {
    const int count = tile_count(block, first);
    __syncthreads();
    for (int j = static_cast<int>(threadIdx.x); j < count; j += kThreads) {
      ds[j] = first + j > position
                  ? 0.0f
                  : pair_f32(size, t, query, block.part.start + first + j, head, kv_head).ds;
    }
    __syncthreads();
    for (int64_t d = threadIdx.x; d < dim; d += kThreads) {
      float sum = dq[d];
      for (int j = 0; j < count; ++j) {
        const int64_t key = block.part.start + first + j;
        sum = fmaf(ds[j], t.k[(key * size.kv_heads + kv_head) * dim + d], sum);
      }
      dq[d] = sum;
    }
  }
  for (int64_t d = threadIdx.x; d < dim; d += kThreads) {
    t.dq[(query * size.heads + head) * dim + d] = canonical_nan_f32(dq[d]);
  }
}

// Dynamic shared memory: 2 * head_dim floats.
__global__ void __launch_bounds__(kThreads)
    key_gradients_f32_kernel(Attention size, Tensors<float> t, Fault* fault) {
  extern __shared__ float dk[];
  __shared__ Pair pairs[kAttentionTile];
  const Block block = find_block(size, fault);
  if (static_cast<int>(blockIdx.z) >= block.count) return;
  const int64_t dim = size.head_dim;
  float* dv = dk + dim;
  const int64_t kv_head = blockIdx.y;
  const int64_t group = size.heads / size.kv_heads;
  const int64_t position = block.first + blockIdx.z;
  const int64_t key = block.part.start + position;
  for (int64_t d = threadIdx.x; d < dim; d += kThreads) dk[d] = dv[d] = 0.0f;
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    for (int64_t first = block.first; first < block.part.length; first += kAttentionTile) {
      const int count = tile_count(block, first);
      __syncthreads();
      for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) {
        pairs[i] = first + i < position
                       ? Pair{0.0f, 0.0f}
                       : pair_f32(size, t, block.part.start + first + i, key, head, kv_head);
      }
      __syncthreads();
      for (int64_t d = threadIdx.x; d < dim; d += kThreads) {
        float dk_sum = dk[d];
        float dv_sum = dv[d];
        for (int i = 0; i < count; ++i) {
          const int64_t row = (block.part.start + first + i) * size.heads + head;
          dk_sum = fmaf(pairs[i].ds, t.q[row * dim + d], dk_sum);
          dv_sum = fmaf(pairs[i].p, t.dout[row * dim + d], dv_sum);
        }
        dk[d] = dk_sum;
        dv[d] = dv_sum;
      }
    }
  }
  for (int64_t d = threadIdx.x; d < dim; d += kThreads) {
    t.dk[(key * size.kv_heads + kv_head) * dim + d] = canonical_nan_f32(dk[d]);
    t.dv[(key * size.kv_heads + kv_head) * dim + d] = canonical_nan_f32(dv[d]);
  }
}

template <typename Kernel, typename... Args>
void launch_bf16(Kernel kernel, dim3 grid, size_t bytes, cudaStream_t stream, Args... args) {
  allow_shared_memory(kernel, bytes);
  launch_in_order(kernel, grid, kThreads, bytes, stream, args...);
}

}  // namespace

void flash_attention_backward(const Attention& size, const void* dout, const void* q, const void* k,
                              const void* v, const void* out, const float* lse, float* delta,
                              void* dq, void* dk, void* dv, cudaStream_t stream) {
  if (size.tokens == 0 || size.heads == 0 || size.head_dim == 0) return;
  const int64_t rows = size.tokens * size.heads;
  const int64_t head_bytes = size.head_dim * (size.bf16 ? 2 : 4);
  const int64_t kv_bytes = size.kv_heads * head_bytes;
  clear_padding(size, {{dq, dk, dv}, {size.heads * head_bytes, kv_bytes, kv_bytes}}, stream);
  const auto row_blocks = static_cast<unsigned>((rows + kThreads / 8 - 1) / (kThreads / 8));
  const auto parts = static_cast<unsigned>(most_parts(size, 1, kAttentionTile));
  const auto heads = static_cast<unsigned>(size.heads);
  const auto kv_heads = static_cast<unsigned>(size.kv_heads);
  if (!size.bf16) {
    const auto as = [](auto* x) { return static_cast<const float*>(x); };
    launch_in_order(delta_kernel<float>, row_blocks, kThreads, 0, stream, rows, size.head_dim,
                    as(dout), as(out), delta);
    const Tensors<float> t{as(dout),
                           as(q),
                           as(k),
                           as(v),
                           lse,
                           delta,
                           static_cast<float*>(dq),
                           static_cast<float*>(dk),
                           static_cast<float*>(dv)};
    const size_t bytes = size.head_dim * sizeof(float);
    launch_in_order(query_gradients_f32_kernel, dim3(parts, heads, kAttentionTile), kThreads, bytes,
                    stream, size, t, fault_record());
    launch_in_order(key_gradients_f32_kernel, dim3(parts, kv_heads, kAttentionTile), kThreads,
                    2 * bytes, stream, size, t, fault_record());
    return;
  }
  launch_in_order(delta_kernel<Bf16>, row_blocks, kThreads, 0, stream, rows, size.head_dim,
                  static_cast<const Bf16*>(dout), static_cast<const Bf16*>(out), delta);
  const auto as = [](const void* x) { return static_cast<const uint16_t*>(x); };
  const Tensors<uint16_t> t{as(dout),
                            as(q),
                            as(k),
                            as(v),
                            lse,
                            delta,
                            static_cast<uint16_t*>(dq),
                            static_cast<uint16_t*>(dk),
                            static_cast<uint16_t*>(dv)};
  const BackwardTensors tensors{t.dout, t.q, t.k, t.v, lse, delta, t.dq, t.dk, t.dv};
  if (is_wide(size, tensors)) return wide_gradients(size, tensors, stream);
  const bool is_aligned =
      rows_are_aligned(q, size.head_dim) && rows_are_aligned(k, size.head_dim) &&
      rows_are_aligned(v, size.head_dim) && rows_are_aligned(dout, size.head_dim);
  with_head_dim(size.head_dim, [&](auto dim) {
    constexpr int kDim = decltype(dim)::value;
    constexpr size_t kBytes = 6 * kAttentionTile * kDim * sizeof(uint16_t);
    launch_bf16(query_gradients_bf16_kernel<kDim>, dim3(parts, heads), kBytes, stream, size, t,
                is_aligned, fault_record());
    launch_bf16(key_gradients_bf16_kernel<kDim>, dim3(parts, kv_heads), kBytes, stream, size, t,
                is_aligned, fault_record());
  });
}

}  // namespace samebits::cuda
