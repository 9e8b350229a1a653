#pragma once

// What the kernels of decode's attention share.

#include "harness/kernels/cuda/attention/attention.cuh"

namespace samebits::cuda {

constexpr int kDecodeRows = 16;  // of a block: those of one step

// The rows of a block: query heads of one token that share a key-value head.
struct DecodeRows {
  int64_t token;
  int64_t kv_head;
  int64_t first_head;  // query head
  int rows;
  int64_t sequence;  // -1: the token is padding, or faulty
  int64_t keys;      // that the token sees

  // Of [tokens, H] rows.
  __device__ int64_t first_row(const Attention& size) const {
    return token * size.heads + first_head;
  }
  __device__ int tiles() const {
    return static_cast<int>((keys + kAttentionTile - 1) / kAttentionTile);
  }
};

// Row groups of a key-value head.
__host__ __device__ inline int64_t row_groups(const Attention& size) {
  return (size.heads / size.kv_heads + kDecodeRows - 1) / kDecodeRows;
}

// `index`: of the row group, over all key-value heads.
__device__ inline DecodeRows rows_of_token(const Attention& size, const Pages& pages, int64_t token,
                                           int64_t index, Fault* fault) {
  const int64_t group = size.heads / size.kv_heads;
  DecodeRows rows{};
  rows.token = token;
  rows.kv_head = index / row_groups(size);
  const int64_t first = index % row_groups(size) * kDecodeRows;
  rows.first_head = rows.kv_head * group + first;
  rows.rows = static_cast<int>(min(group - first, static_cast<int64_t>(kDecodeRows)));
  rows.sequence = -1;
  // Mostly that of the token's own sequence is what is looked for: it comes beside what says so.
  const int32_t own = token < size.sequences ? __ldcg(pages.seq_lens + token) : 0;
  const SequencePart part = find_token(size, token, fault);
  if (part.sequence < 0) return rows;
  const int64_t length = part.sequence == token ? own : __ldcg(pages.seq_lens + part.sequence);
  if (length < part.length) {
    raise(fault, FaultKind::kKeys, part.sequence, length, part.length);
    return rows;
  }
  const int64_t capacity = pages.table_width * pages.page_rows;
  rows.sequence = part.sequence;
  rows.keys = length - part.length + part.part + 1;
  if (rows.keys > capacity) {
    raise(fault, FaultKind::kPages, part.sequence, capacity + 1, capacity);
    rows.keys = capacity;
  }
  return rows;
}

inline int64_t tiles_of(const Pages& pages) {
  return (pages.table_width * pages.page_rows + kAttentionTile - 1) / kAttentionTile;
}

constexpr int kChunkTiles = 4;  // of keys, whose weights a warp finds at once

// A lane's part of the weights of one row and kChunkTiles tiles: the keys of one residue mod 8 of
// one tile. The tile's alpha and sum are the same in all lanes of the tile.
struct ChunkWeights {
  uint16_t p[kAttentionTile / 8];  // +0 where there is no key
  float alpha;
  float sum;
};

// score(key) and maximum(tile): of those that are there. `before`: the largest of the tiles ahead
// of these.
template <typename Score, typename Maximum>
__device__ ChunkWeights weights_of_chunk(int64_t keys, int tiles, int first_tile, int lane,
                                         Score score, Maximum maximum, float before = -INFINITY) {
  ChunkWeights found;
  const int tile = first_tile + lane / 8;
  const int64_t first_key = static_cast<int64_t>(tile) * kAttentionTile + lane % 8;
  float p[kAttentionTile / 8];
#pragma unroll
  for (int j = 0; j < kAttentionTile / 8; ++j) {
    p[j] = first_key + j * 8 < keys ? score(first_key + j * 8) : 0.0f;
  }
#pragma unroll 4
  for (int t = lane; t < first_tile; t += 32) before = larger(before, maximum(t));
  const float largest = tile < tiles ? maximum(tile) : -INFINITY;
  for (int width = 16; width > 0; width /= 2) {
    before = larger(before, __shfl_xor_sync(0xffffffffu, before, width));
  }
#pragma unroll
  for (int t = 0; t + 1 < kChunkTiles; ++t) {
    const float other = __shfl_sync(0xffffffffu, largest, t * 8);
    if (t < lane / 8) before = larger(before, other);
  }
  const float m = larger(before, largest);
  // In ascending order, then the residues by the tree.
  float sum = 0.0f;
#pragma unroll
  for (int j = 0; j < kAttentionTile / 8; ++j) {
    const bool is_there = first_key + j * 8 < keys;
    p[j] = is_there ? exp_f32(p[j] - m) : 0.0f;
    if (is_there) sum = sum + p[j];
    found.p[j] = f32_to_bf16(p[j]);
  }
  for (int width = 1; width <= 4; width *= 2) {
    sum = sum + __shfl_xor_sync(0xffffffffu, sum, width);
  }
  found.alpha = exp_f32(before - m);
  found.sum = sum;
  return found;
}

// In the memory of a block of the cluster, at the place of `mine`.
__device__ inline void store_in_block(int rank, const float* mine, float value) {
  asm volatile(
      "{\n"
      ".reg .b32 there;\n"
      "mapa.shared::cluster.u32 there, %0, %1;\n"
      "st.shared::cluster.f32 [there], %2;\n"
      "}\n" ::"r"(shared_address(mine)),
      "r"(rank), "f"(value)
      : "memory");
}
__device__ inline void store_in_block(int rank, const uint16_t* mine, const uint4& eight) {
  asm volatile(
      "{\n"
      ".reg .b32 there;\n"
      "mapa.shared::cluster.u32 there, %0, %1;\n"
      "st.shared::cluster.v4.b32 [there], {%2, %3, %4, %5};\n"
      "}\n" ::"r"(shared_address(mine)),
      "r"(rank), "r"(eight.x), "r"(eight.y), "r"(eight.z), "r"(eight.w)
      : "memory");
}

// ---- decode_block.cu: a block each for a token and key-value head --------------------
// Whether there are enough of them for the card, or too few keys to share out.
bool is_for_single_blocks(const Attention& size, const Pages& pages);
void decode_by_single_blocks(const Attention& size, const Pages& pages, const void* q,
                             const void* k, const void* v, void* out, cudaStream_t stream);

}  // namespace samebits::cuda
