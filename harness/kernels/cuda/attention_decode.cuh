#pragma once

// What the kernels of decode's attention share.

#include "harness/kernels/cuda/attention.cuh"

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
  const SequencePart part = find_token(size, token, fault);
  if (part.sequence < 0) return rows;
  const int64_t length = pages.seq_lens[part.sequence];
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

// ---- attention_decode_block.cu: a block each for a token and key-value head --------------------
// Whether there are enough of them for the card, or too few keys to share out.
bool is_for_single_blocks(const Attention& size, const Pages& pages);
void decode_by_single_blocks(const Attention& size, const Pages& pages, const void* q,
                             const void* k, const void* v, void* out, cudaStream_t stream);

}  // namespace samebits::cuda
