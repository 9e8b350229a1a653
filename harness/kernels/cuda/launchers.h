#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "harness/kernels/adamw.h"

// The CUDA twins of the contract list, on raw pointers: what stands between the operators
// (operators.cpp) and the kernels, so that no .cu file needs torch. The arithmetic is that of each
// operator's header, the bits are those of the portable CPU kernels.
//
// Everything is contiguous and on the card. `bf16` says whether elements are bfloat16 or float32;
// `void*` points at such elements. Kernels are put on `stream` and read nothing on the host, so a
// graph may capture them. Empty tensors launch nothing.
namespace samebits::cuda {

// ---- matrices (linear.h) -----------------------------------------------------------------------
// Element (r, k) of an operand is at data + r * row_stride + k * k_stride, in elements; one of the
// strides is 1.
struct Operand {
  const void* data;
  int64_t row_stride;
  int64_t k_stride;
};

struct Gemm {
  Operand a;  // [m, k]
  Operand b;  // [n, k]
  void* out;  // [m, n]
  int64_t m, n, k;
  int64_t slice;  // 0: one chain
  bool bf16;      // of the operands
  bool bf16_out;
  float* workspace;  // gemm_workspace() elements
  // No kernel that may still run when this one begins writes it (launch.cuh).
  bool a_is_settled = false;
  bool b_is_settled = false;
  // bf16 [m, n], where gemm_adds(): sum = out + residual, once out is rounded.
  const void* residual = nullptr;
  void* sum = nullptr;
};

int64_t gemm_workspace(const Gemm& call);  // of a call without one
void gemm(const Gemm& call, cudaStream_t stream);
// Whether gemm() takes a residual with this call.
bool gemm_adds(const Gemm& call);

// ---- what certified_gemm.h needs ---------------------------------------------------------------
// Numbers whose sums show their order, and some of any bits.
void fill_probe(uint16_t* to, int64_t n, uint32_t seed, cudaStream_t stream);
// Gives every NaN among n bf16 the contract's bits. x: a multiple of 16 bytes.
void canonical_nans(uint16_t* x, int64_t n, cudaStream_t stream);
// Sets *differs, on the card, to 1 where a and b do.
void compare(const uint16_t* a, const uint16_t* b, int64_t n, int32_t* differs,
             cudaStream_t stream);

// ---- rows --------------------------------------------------------------------------------------
struct Rows {
  int64_t rows;
  int64_t dim;
  bool bf16;
};

void rms_norm(const Rows& size, const void* x, const void* weight, void* y, float eps,
              bool fused_rounding, cudaStream_t stream);
void rms_norm_dgrad(const Rows& size, const void* dy, const void* x, const void* weight, void* dx,
                    float eps, cudaStream_t stream);
// workspace: rows + ceil(rows / kRmsNormBlockRows) * dim floats.
void rms_norm_wgrad(const Rows& size, const void* dy, const void* x, void* dweight, float eps,
                    float* workspace, cudaStream_t stream);
void residual_rms_norm(const Rows& size, const void* x, const void* y, const void* weight,
                       void* sum, void* normed, float eps, cudaStream_t stream);

// A norm and products of it with matrices [widths, dim], one chain each, and what the first two
// make as gate and up where there is `gated`. All bf16.
constexpr int kMostMatrices = 3;
struct NormLinears {
  Rows size;  // of x
  float eps;
  const void* x;
  const void* norm_weight;
  void* normed;
  int matrices;
  const void* weights[kMostMatrices];
  int64_t widths[kMostMatrices];  // where there is `gated`, both alike
  void* outs[kMostMatrices];
  void* gated;               // or null
  bool weights_are_settled;  // no kernel that may still run writes one (launch.cuh)
};

// Whether there are so few rows that norm_linears() knows the call.
bool takes_norm_linears(const NormLinears& call);
void norm_linears(const NormLinears& call, cudaStream_t stream);

struct Rotation {
  int64_t tokens, heads, dim;
  int64_t table;  // positions that cos and sin [table, dim / 2] hold
  const float* cos;
  const float* sin;
  const int64_t* positions;  // [tokens]
  bool bf16;
  bool is_settled;                  // no kernel that may still run writes an operand (launch.cuh)
  bool tables_are_settled = false;  // nor any that does not come of the tokens
};

// x [tokens, heads, dim], normed by weight [dim] and rotated.
struct NormedHeads {
  int64_t heads;
  const void* x;
  const void* weight;
  void* normed;
  void* rotated;
};

// Where rows of keys and values go: row t of v, and of the keys beside it, into row slots[t] of the
// caches, -1 into none.
struct KvWrite {
  int64_t tokens;
  int64_t row_bytes;     // of a token's heads
  int64_t rows;          // of a cache
  const int64_t* slots;  // [tokens]
  const void* v;
  void* k_cache;
  void* v_cache;
};

void rope(const Rotation& call, const void* x, void* y, bool inverse, cudaStream_t stream);
// `second`: other heads of the same tokens, or null. `write`: of what was rotated last, or null.
// Rotation::heads is not read.
void rms_norm_rope(const Rotation& call, const NormedHeads& first, const NormedHeads* second,
                   float eps, const KvWrite* write, cudaStream_t stream);

// ---- element by element ------------------------------------------------------------------------
void silu_mul(int64_t n, bool bf16, const void* gate, const void* up, void* y, bool fused_rounding,
              cudaStream_t stream);
void silu_mul_backward(int64_t n, bool bf16, const void* dy, const void* gate, const void* up,
                       void* dgate, void* dup, cudaStream_t stream);
void residual_add(int64_t n, bool bf16, const void* x, const void* y, void* out,
                  cudaStream_t stream);

// ---- the vocabulary ----------------------------------------------------------------------------
struct Table {
  int64_t tokens, rows, width, first_row;
  const int64_t* ids;  // [tokens]
  bool bf16;
};

void embedding(const Table& call, const void* weight, void* y, cudaStream_t stream);
void embedding_wgrad(const Table& call, const void* dy, void* dweight, cudaStream_t stream);

struct Logits {
  int64_t rows, width, vocab;
  bool bf16;
};

// workspace: log_softmax_workspace() floats.
int64_t log_softmax_workspace(const Logits& size);
void log_softmax_gather(const Logits& size, const void* logits, const int64_t* targets,
                        float* workspace, float* logprob, float* lse, cudaStream_t stream);
void log_softmax_gather_backward(const Logits& size, const float* dlogprob, const void* logits,
                                 const int64_t* targets, const float* lse, void* dlogits,
                                 cudaStream_t stream);

struct Draw {
  const int64_t* keys;  // [rows, 2]
  uint64_t seed;
  float temperature;
  // Where a filter is on, 1 for each id that passes it; else null.
  const uint8_t* kept;  // [rows, vocab]
};

// workspace: sample_workspace() floats. vocab < 2^31.
int64_t sample_workspace(const Logits& size);
void sample(const Logits& size, const void* logits, const Draw& draw, float* workspace,
            int64_t* token, float* logprob, cudaStream_t stream);
// For each logit a number that orders as sample.h orders ids: larger comes first, equal by id.
void sample_order(const Logits& size, const void* logits, float temperature, int32_t* order,
                  cudaStream_t stream);
// `ids` [rows, vocab]: every row's ids in that order. Fills `kept`; `probability` is workspace.
void sample_filter(const Logits& size, const void* logits, float temperature, const int64_t* ids,
                   int64_t top_k, float top_p, float* probability, uint8_t* kept,
                   cudaStream_t stream);

// ---- observation -------------------------------------------------------------------------------
// element_size: 1, 2, 4 or 8. to: int64 [2].
void digest_sums(const void* x, int64_t n, int64_t element_size, int64_t* to, cudaStream_t stream);

struct DigestedValue {
  const void* data;
  uint32_t elements;
  uint32_t width;        // elements of a row
  uint32_t first_block;  // filled by the launcher
  int16_t rows;          // index into sizes; -1: all
  int16_t element_size;  // 1, 2, 4 or 8
};
// to: int64 [count, 2]; count: kMaxDigestedValues (digest_rows.h) at most.
void digest_rows(const DigestedValue* values, int64_t count, const int64_t* sizes, int64_t* to,
                 cudaStream_t stream);

// ---- loss and optimizer ------------------------------------------------------------------------
struct Loss {
  int64_t n;
  const float* logprobs;
  const float* reference;
  const float* advantage;
  const int64_t* tokens;
  float sequences, low, high, entropy, kl;
};

void grpo_loss(const Loss& call, float* loss, float* stats, cudaStream_t stream);
void grpo_loss_backward(const Loss& call, const float* dloss, float* dlogprobs,
                        cudaStream_t stream);

// x as [outer, dim, inner], cut along dim. workspace: sum_squares_workspace() floats.
struct Squares {
  int64_t outer, dim, inner, slice;
  bool bf16;
};

int64_t sum_squares_workspace(const Squares& size);
void sum_squares(const Squares& size, const void* x, float* out, float* workspace,
                 cudaStream_t stream);

struct Adamw {
  int64_t n;
  bool bf16;        // of weight
  bool float_grad;  // grad is float32, else of weight's dtype
  void* weight;
  float* master;    // or null
  bool bf16_state;  // m and v are bf16, as weight and grad are; no master
  void* m;
  void* v;
  const void* grad;
  const float* scale;
  const int64_t* step;
  AdamwSettings settings;
};

void adamw(const Adamw& call, cudaStream_t stream);
// `squares`: `count` pointers, read before the call returns, to a float each on the card.
void clip_scale(const float* const* squares, int64_t count, float clip_norm, float* norm,
                float* scale, cudaStream_t stream);

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
// delta: workspace [tokens, H].
void flash_attention_backward(const Attention& size, const void* dout, const void* q, const void* k,
                              const void* v, const void* out, const float* lse, float* delta,
                              void* dq, void* dk, void* dv, cudaStream_t stream);

// slots int64 [tokens]; a row is G * D elements.
void write_kv(const KvWrite& write, const void* k, cudaStream_t stream);

}  // namespace samebits::cuda
