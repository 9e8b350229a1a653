#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "harness/kernels/cpu/flash_attention_rows.h"
#include "harness/kernels/cpu/gemm.h"

// What attention's forward and backward share. Sizes: flash_attention.h.

namespace samebits {

const AttentionRows& attention_rows(Isa isa);

struct AttentionShape {
  c10::ScalarType dtype;
  int64_t heads;     // H
  int64_t kv_heads;  // G
  int64_t head_dim;  // D
  float scale;

  int64_t group() const { return heads / kv_heads; }
  size_t element() const { return c10::elementSize(dtype); }
};

// The rows of one key-value head of one sequence, in one piece or in pages.
struct KeyRows {
  const char* base;                // row 0 of the head in one piece, or row 0 of the head in page 0
  int64_t row_stride;              // elements
  const int32_t* pages = nullptr;  // this sequence's pages in order; null: one piece
  int64_t page_rows = 0;
  int64_t page_stride = 0;  // elements

  // Rows first .. first + count as a matrix [count, head_dim] whose rows follow each other; copies
  // them to `buffer` where they are spread over pages.
  MatrixView tile(int64_t first, int64_t count, const AttentionShape& shape,
                  std::vector<char>& buffer) const;
};

// The queries first .. first + count of one sequence, for the heads that share one key-value head.
// Row r of a block is query r / group, head r % group of the group.
struct QueryRows {
  int64_t token;  // the first one's row in q
  int64_t count;
  int64_t position;  // the first one's position in its sequence
  int64_t kv_head;
};

// [count * group, head_dim] of `x` ([T, H, D]), one after the other.
std::vector<char> gather_rows(const char* x, const QueryRows& queries, const AttentionShape& shape);

// A one-dimensional tensor of indices, int32 or int64, in memory that somebody else owns.
struct Indices {
  const void* data;
  int64_t count;
  bool is_wide;

  int64_t operator[](int64_t i) const {
    return is_wide ? static_cast<const int64_t*>(data)[i] : static_cast<const int32_t*>(data)[i];
  }
};

// `x` as it can be read by Indices: itself where that is so, a copy otherwise.
at::Tensor index_tensor(const at::Tensor& x);
Indices indices_of(const at::Tensor& index_tensor);

// Checks the shape of cu_seqlens; returns the number of sequences.
int64_t checked_sequences(const char* op, const at::Tensor& cu_seqlens);

// cu_seqlens as int64, checked: starts at 0, never falls, ends at `tokens` at most. To be called
// within a launch, which reads them. Tokens past the last one are padding, of no sequence.
std::vector<int64_t> checked_boundaries(const char* op, const Indices& cu_seqlens, int64_t tokens);

// Rows first to end of x are +0.
void clear_padding(void* x, int64_t first, int64_t end, int64_t row_bytes);

// Checks q [1, T, H, D] against k and v [1, any, G, D] (or a cache [blocks, rows, G, D]).
AttentionShape checked_shape(const char* op, const at::Tensor& q, const at::Tensor& k,
                             const at::Tensor& v, double scale);

// c[r, j] = chain(c[r, j]; row r of `queries`, k[j, :]) for the keys j < `keys` that row r sees;
// rows of c are one tile apart. Row r is of query r / group, which sees the keys up to number
// position + r / group. What a row does not see may or may not be written.
void causal_chain(const AttentionShape& shape, const RowBlock& queries, int64_t rows, int64_t group,
                  int64_t position, const MatrixView& k, int64_t keys, float* c);

// One block of queries over keys 0 .. its last position; writes rows of out and, unless null, lse
// (rows of [T, H]).
void attend(Isa isa, const AttentionShape& shape, const char* q, const QueryRows& queries,
            const KeyRows& keys, const KeyRows& values, char* out, float* lse);

// Queries of one block.
int64_t query_block(const AttentionShape& shape);

}  // namespace samebits
