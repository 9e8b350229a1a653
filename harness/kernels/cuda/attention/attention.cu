// Attention's forward, over contiguous keys and over pages, and the write into the pages.

#include <initializer_list>

#include "harness/kernels/cuda/attention/attention.cuh"
#include "harness/kernels/cuda/rows/kv_slot.cuh"
#include "harness/kernels/cuda/runtime/launch.cuh"

namespace samebits::cuda {
namespace {

// ---- bf16: four warps of 16 rows ---------------------------------------------------------------
constexpr int kWarps = 4;
constexpr int kThreads = kWarps * 32;

// O += P V where a value is infinite or NaN.
template <int kDim>
__device__ void accumulate_seen(float (&o)[kDim / 8][4], const float (&p)[8][4],
                                const SharedTile<kDim>& v, uint16_t* p_rows /* [16][64] */,
                                const int (&seen)[2], int lane) {
#pragma unroll
  for (int j = 0; j < 8; ++j) {
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      p_rows[(lane / 4 + e / 2 * 8) * kAttentionTile + j * 8 + lane % 4 * 2 + e % 2] =
          f32_to_bf16(p[j][e]);
    }
  }
  __syncwarp();
  float sums[kDim / 8][4];  // indexed by a loop that is not unrolled: not the registers of `o`
#pragma unroll
  for (int d = 0; d < kDim / 8; ++d) {
#pragma unroll
    for (int e = 0; e < 4; ++e) sums[d][e] = o[d][e];
  }
#pragma unroll 1
  for (int d = 0; d < kDim / 8; ++d) {
#pragma unroll 1
    for (int e = 0; e < 4; ++e) {
      const int column = d * 8 + lane % 4 * 2 + e % 2;
      const uint16_t* row = p_rows + (lane / 4 + e / 2 * 8) * kAttentionTile;
      sums[d][e] =
          chain_over_seen(sums[d][e], row, seen[e / 2], [&](int key) { return v.at(key, column); });
    }
  }
#pragma unroll
  for (int d = 0; d < kDim / 8; ++d) {
#pragma unroll
    for (int e = 0; e < 4; ++e) o[d][e] = sums[d][e];
  }
  __syncwarp();
}

template <int kDim>
__global__ void __launch_bounds__(kThreads)
    forward_bf16_kernel(Attention size, Pages pages, const uint16_t* q, const uint16_t* k,
                        const uint16_t* v, uint16_t* out, float* lse, bool is_aligned,
                        Fault* fault) {
  extern __shared__ __align__(128) uint16_t shared[];
  const SharedTile<kDim> q_tile{shared};
  // Two tiles of keys and of values: one at work, one on its way.
  const auto tile_at = [&](int64_t i) {
    return SharedTile<kDim>{shared + i * kAttentionTile * kDim};
  };
  const RowsOfBlock block = rows_of_block(size, pages, kAttentionTile, fault);
  if (block.rows <= 0) return;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int warp = static_cast<int>(threadIdx.x / 32);
  uint16_t* p_rows = shared + 5 * kAttentionTile * kDim + warp * 16 * kAttentionTile;
  const int head_dim = static_cast<int>(size.head_dim);
  const int64_t head_offset = block.kv_head * size.head_dim;

  fill_rows<kDim, kThreads>(q_tile, block.rows, head_dim, is_aligned,
                            [&](int row) { return q + block.place(row, size.heads) * head_dim; });

  // A thread has two rows of the tile: lane / 4 of its warp's 16, and that + 8.
  int64_t positions[2];
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int row = warp * 16 + lane / 4 + h * 8;
    positions[h] = row < block.rows ? block.position(row) : -1;
  }
  float m[2] = {-INFINITY, -INFINITY};
  float l[2] = {};
  float o[kDim / 8][4] = {};
  const int64_t end = block.keys_seen();
  const auto fetch = [&](int64_t first) {
    if (first < end) {
      const auto count = static_cast<int>(min(end - first, static_cast<int64_t>(kAttentionTile)));
      const int64_t stage = first / kAttentionTile % 2;
      fetch_keys<kDim, kThreads>(tile_at(1 + stage), k + head_offset, block.keys, first, count,
                                 head_dim, is_aligned, fault);
      fetch_keys<kDim, kThreads>(tile_at(3 + stage), v + head_offset, block.keys, first, count,
                                 head_dim, is_aligned, fault);
    }
    commit_copies();
  };
  fetch(0);
  for (int64_t first = 0; first < end; first += kAttentionTile) {
    fetch(first + kAttentionTile);
    wait_copies<1>();
    __syncthreads();
    const SharedTile<kDim> k_tile = tile_at(1 + first / kAttentionTile % 2);
    const SharedTile<kDim> v_tile = tile_at(3 + first / kAttentionTile % 2);
    const bool all_finite = __syncthreads_and(is_finite<kDim, kThreads>(v_tile)) != 0;

    float s[8][4] = {};
    multiply_rows(s, q_tile, warp * 16, k_tile, lane);
    int seen[2];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int64_t n = positions[h] + 1 - first;
      seen[h] = static_cast<int>(n < 0 ? 0 : n < kAttentionTile ? n : kAttentionTile);
      float largest = m[h];
#pragma unroll
      for (int j = 0; j < 8; ++j) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          float& score = s[j][2 * h + e];
          score = score * size.scale;
          if (j * 8 + lane % 4 * 2 + e < seen[h]) largest = larger(largest, score);
        }
      }
      for (int width = 1; width <= 2; width *= 2) {
        largest = larger(largest, __shfl_xor_sync(0xffffffffu, largest, width));
      }
#pragma unroll
      for (int j = 0; j < 8; ++j) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          float& p = s[j][2 * h + e];
          p = j * 8 + lane % 4 * 2 + e < seen[h] ? exp_f32(p - largest) : 0.0f;
        }
      }
      const float sum = sum_of_row(s, 2 * h);
      if (seen[h] == 0) continue;
      const float alpha = exp_f32(m[h] - largest);
      const float product = l[h] * alpha;
      l[h] = product + sum;
      m[h] = largest;
#pragma unroll
      for (int d = 0; d < kDim / 8; ++d) {
        o[d][2 * h] = o[d][2 * h] * alpha;
        o[d][2 * h + 1] = o[d][2 * h + 1] * alpha;
      }
    }
    // A step of zeros leaves a chain as it is, so rows that see less may go along.
    if (all_finite) {
      accumulate_rows<kDim>(o, s, v_tile, lane);
    } else {
      accumulate_seen<kDim>(o, s, v_tile, p_rows, seen, lane);
    }
    __syncthreads();  // the tile's memory may be written again
  }

#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int row = warp * 16 + lane / 4 + h * 8;
    if (row >= block.rows) continue;
    const int64_t to = block.place(row, size.heads);
    if (lse != nullptr && lane % 4 == 0) lse[to] = canonical_nan_f32(m[h] + log_f32(l[h]));
#pragma unroll
    for (int d = 0; d < kDim / 8; ++d) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const int column = d * 8 + lane % 4 * 2 + e;
        if (column < head_dim) {
          out[to * head_dim + column] = f32_to_bf16(o[d][2 * h + e] / l[h]);
        }
      }
    }
  }
}

// ---- float32: a block a row --------------------------------------------------------------------
constexpr int kF32Threads = 128;

// The sum of s[0 .. n - 1] as flash_attention.h adds it.
__device__ float sum_of_eight(const float* s, int n) {
  float t[8] = {};
  for (int j = 0; j < n; ++j) t[j % 8] = t[j % 8] + s[j];
  return ((t[0] + t[1]) + (t[2] + t[3])) + ((t[4] + t[5]) + (t[6] + t[7]));
}

// Dynamic shared memory: head_dim floats, for O.
__global__ void __launch_bounds__(kF32Threads)
    forward_f32_kernel(Attention size, Pages pages, const float* q, const float* k, const float* v,
                       float* out, float* lse, Fault* fault) {
  extern __shared__ float o[];
  __shared__ float s[kAttentionTile];
  const RowsOfBlock block = rows_of_block(size, pages, kAttentionTile, fault);
  const auto row = static_cast<int>(blockIdx.z);
  if (row >= block.rows) return;
  const int64_t dim = size.head_dim;
  const int64_t offset = block.kv_head * dim;
  const int64_t to = block.place(row, size.heads);
  const int64_t end = block.position(row) + 1;
  for (int64_t d = threadIdx.x; d < dim; d += kF32Threads) o[d] = 0.0f;
  float m = -INFINITY;
  float l = 0.0f;
  for (int64_t first = 0; first < end; first += kAttentionTile) {
    const int n = static_cast<int>(end - first < kAttentionTile ? end - first : kAttentionTile);
    __syncthreads();
    for (int j = static_cast<int>(threadIdx.x); j < n; j += kF32Threads) {
      const int64_t at = block.keys(first + j, fault);
      s[j] = at < 0 ? 0.0f : chain_f32(q + to * dim, k + at + offset, dim) * size.scale;
    }
    __syncthreads();
    float largest = m;
    for (int j = 0; j < n; ++j) largest = larger(largest, s[j]);
    __syncthreads();
    for (int j = static_cast<int>(threadIdx.x); j < n; j += kF32Threads) {
      s[j] = exp_f32(s[j] - largest);
    }
    __syncthreads();
    const float alpha = exp_f32(m - largest);
    const float product = l * alpha;
    l = product + sum_of_eight(s, n);
    m = largest;
    for (int64_t d = threadIdx.x; d < dim; d += kF32Threads) {
      float sum = o[d] * alpha;
      for (int j = 0; j < n; ++j) {
        const int64_t at = block.keys(first + j, fault);
        if (at >= 0) sum = fmaf(s[j], v[at + offset + d], sum);
      }
      o[d] = sum;
    }
  }
  for (int64_t d = threadIdx.x; d < dim; d += kF32Threads) {
    out[to * dim + d] = canonical_nan_f32(o[d] / l);
  }
  if (lse != nullptr && threadIdx.x == 0) lse[to] = canonical_nan_f32(m + log_f32(l));
}

// Rows past the last sequence, dealt to the blocks. Rows are of two bytes and more.
__global__ void clear_padding_kernel(Attention size, Padded all) {
  const int64_t first = max(size.cu_seqlens[size.sequences], 0);
  for (int64_t token = first + blockIdx.x; token < size.tokens; token += gridDim.x) {
    for (int tensor = 0; tensor < 3; ++tensor) {
      if (all.rows[tensor] == nullptr) continue;
      const int64_t halves = all.row_bytes[tensor] / 2;
      auto* row = static_cast<uint16_t*>(all.rows[tensor]) + token * halves;
      for (int64_t i = threadIdx.x; i < halves; i += blockDim.x) row[i] = 0;
    }
  }
}

// A row is row_bytes / sizeof(Piece) pieces.
template <typename Piece>
__global__ void write_kv_kernel(KvWrite write, const void* k, Fault* fault) {
  wait_for_earlier_kernels();
  const int64_t token = blockIdx.x;
  const int64_t slot = find_slot(write, token, threadIdx.x == 0, fault);
  if (slot < 0) return;
  const int64_t pieces = write.row_bytes / static_cast<int64_t>(sizeof(Piece));
  for (int64_t i = threadIdx.x; i < pieces; i += blockDim.x) {
    const Piece key = static_cast<const Piece*>(k)[token * pieces + i];
    const Piece value = static_cast<const Piece*>(write.v)[token * pieces + i];
    static_cast<Piece*>(write.k_cache)[slot * pieces + i] = key;
    static_cast<Piece*>(write.v_cache)[slot * pieces + i] = value;
  }
}

}  // namespace

// Few blocks: mostly there is no padding, or little.
void clear_padding(const Attention& size, const Padded& all, cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>(size.tokens < 64 ? size.tokens : 64);
  launch_in_order(clear_padding_kernel, blocks, 128, 0, stream, size, all);
}

void flash_attention(const Attention& size, const Pages& pages, const void* q, const void* k,
                     const void* v, void* out, float* lse, float* workspace, cudaStream_t stream) {
  if (size.tokens == 0 || size.heads == 0 || size.head_dim == 0) return;
  if (pages.block_table != nullptr) {
    if (is_decode(size, pages, q, k, v)) {
      return decode_attention(size, pages, q, k, v, out, workspace, stream);
    }
  }
  const int64_t lse_bytes = size.heads * static_cast<int64_t>(sizeof(float));
  clear_padding(size, {{out, lse}, {size.heads * size.head_dim * (size.bf16 ? 2 : 4), lse_bytes}},
                stream);
  if (is_prefill(size, pages, q, k, v, out)) {
    return prefill_attention(size, pages, q, k, v, out, lse, stream);
  }
  const auto parts =
      static_cast<unsigned>(most_parts(size, size.heads / size.kv_heads, kAttentionTile));
  const auto kv_heads = static_cast<unsigned>(size.kv_heads);
  if (!size.bf16) {
    launch_in_order(forward_f32_kernel, dim3(parts, kv_heads, kAttentionTile), kF32Threads,
                    size.head_dim * sizeof(float), stream, size, pages,
                    static_cast<const float*>(q), static_cast<const float*>(k),
                    static_cast<const float*>(v), static_cast<float*>(out), lse, fault_record());
    return;
  }
  const bool is_aligned = rows_are_aligned(q, size.head_dim) &&
                          rows_are_aligned(k, size.head_dim) && rows_are_aligned(v, size.head_dim);
  with_head_dim(size.head_dim, [&](auto dim) {
    constexpr int kDim = decltype(dim)::value;
    constexpr size_t kBytes = (5 * kAttentionTile * kDim + kWarps * 16 * kAttentionTile) * 2;
    allow_shared_memory(forward_bf16_kernel<kDim>, kBytes);
    launch_in_order(forward_bf16_kernel<kDim>, dim3(parts, kv_heads), kThreads, kBytes, stream,
                    size, pages, static_cast<const uint16_t*>(q), static_cast<const uint16_t*>(k),
                    static_cast<const uint16_t*>(v), static_cast<uint16_t*>(out), lse, is_aligned,
                    fault_record());
  });
}

void write_kv(const KvWrite& write, const void* k, cudaStream_t stream) {
  if (write.tokens == 0 || write.row_bytes == 0) return;
  bool has_sixteens = write.row_bytes % 16 == 0;
  for (const void* x :
       std::initializer_list<const void*>{k, write.v, write.k_cache, write.v_cache}) {
    has_sixteens = has_sixteens && reinterpret_cast<uintptr_t>(x) % 16 == 0;
  }
  launch(has_sixteens ? write_kv_kernel<uint4> : write_kv_kernel<uint16_t>,
         dim3(static_cast<unsigned>(write.tokens)), 128, 0, stream, write, k, fault_record());
}

}  // namespace samebits::cuda
