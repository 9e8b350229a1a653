#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "harness/kernels/cuda/rows/launchers.h"

// Attention and its cache on raw pointers, as rows/launchers.h has the operators on rows.
namespace samebits::cuda {

// ---- attention (flash_attention.h) -------------------------------------------------------------
struct Attention {
  int64_t tokens, sequences;
  int64_t heads, kv_heads, head_dim;
  float scale;
  const int32_t* cu_seqlens;  // [sequences + 1]
  bool bf16;
};

// The keys and values of a paged cache; block_table null: contiguous, as [tokens, G, D].
struct Pages {
  const int32_t* block_table;  // [sequences, table_width]
  const int32_t* seq_lens;     // [sequences]
  int64_t table_width;
  int64_t pages;
  int64_t page_rows;
  // No kernel that may still run writes the three tables, cu_seqlens included (launch.cuh).
  bool tables_are_settled = false;
};

// lse: [tokens, H] or null, which it is over pages. workspace: decode_workspace() floats over
// pages, else null.
void flash_attention(const Attention& size, const Pages& pages, const void* q, const void* k,
                     const void* v, void* out, float* lse, float* workspace, cudaStream_t stream);
int64_t decode_workspace(const Attention& size, const Pages& pages);
// One token of each sequence, whose queries and keys are normed and rotated first, and whose keys
// and values are written to the cache that attention reads.
struct DecodeStep {
  Attention size;
  Pages pages;
  Rotation rotation;  // heads is not read
  KvWrite write;
  NormedHeads queries, keys;
  float eps;
  void* out;
  bool cache_is_settled;  // no kernel that may still run writes it (launch.cuh)
};

// Whether there are so few sequences, and so short a page table, that decode_step() knows the call.
bool takes_decode_step(const DecodeStep& call);
void decode_step(const DecodeStep& call, cudaStream_t stream);
// Up to three tensors [tokens, ...] of so many bytes a row, null where there are fewer: rows past
// the last sequence, which are padding, become +0.
struct Padded {
  void* rows[3];
  int64_t row_bytes[3];
};
void clear_padding(const Attention& size, const Padded& all, cudaStream_t stream);

// delta: workspace [tokens, H].
void flash_attention_backward(const Attention& size, const void* dout, const void* q, const void* k,
                              const void* v, const void* out, const float* lse, float* delta,
                              void* dq, void* dk, void* dv, cudaStream_t stream);

}  // namespace samebits::cuda
