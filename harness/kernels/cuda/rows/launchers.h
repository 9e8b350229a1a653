#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "harness/kernels/adamw.h"

// The contract's operators on rows, elements, the vocabulary, the loss and the optimizer, on raw
// pointers: what stands between the operators (operators.cpp) and the kernels, so that no .cu file
// needs torch. The arithmetic is that of each operator's header, the bits are those of the portable
// CPU kernels.
//
// Everything is contiguous and on the card. `bf16` says whether elements are bfloat16 or float32;
// `void*` points at such elements. Kernels are put on `stream` and read nothing on the host, so a
// graph may capture them. Empty tensors launch nothing.
namespace samebits::cuda {

// ---- rows --------------------------------------------------------------------------------------
struct Rows {
  int64_t rows;
  int64_t dim;
  bool bf16;
};

// Where sequences begin among tokens (step_gradient.h).
struct Sequences {
  const int32_t* starts;  // [groups, count + 1]; null: one sequence of all
  int64_t count;          // of each group
  int64_t tokens;
  int64_t groups = 1;
};

// weight_is_settled: no kernel that may still run writes it, and the next kernel reads nothing but
// what is settled before it waits: this one may be early (launch.cuh).
void rms_norm(const Rows& size, const void* x, const void* weight, void* y, float eps,
              bool fused_rounding, cudaStream_t stream, bool weight_is_settled = false);
void rms_norm_dgrad(const Rows& size, const void* dy, const void* x, const void* weight, void* dx,
                    float eps, cudaStream_t stream);
// Rows follow each other token by token. workspace: rms_norm_wgrad_workspace() floats.
int64_t rms_norm_wgrad_workspace(const Rows& size, const Sequences& sequences);
void rms_norm_wgrad(const Rows& size, const Sequences& sequences, const void* dy, const void* x,
                    float* sum, float eps, float* workspace, cudaStream_t stream);
void residual_rms_norm(const Rows& size, const void* x, const void* y, const void* weight,
                       void* sum, void* normed, float eps, cudaStream_t stream);

struct Rotation {
  int64_t tokens, heads, dim;
  int64_t table;  // positions that cos and sin [table, dim / 2] hold
  const float* cos;
  const float* sin;
  const int64_t* positions;  // [tokens]
  bool bf16;
  bool is_settled;                  // no kernel that may still run writes an operand (launch.cuh)
  bool tables_are_settled = false;  // nor any that does not come of the tokens
  bool lets_next_begin = false;  // early: the next one reads only what is settled, before it waits
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

// slots int64 [tokens]; a row is G * D elements.
void write_kv(const KvWrite& write, const void* k, cudaStream_t stream);

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
void embedding_wgrad(const Table& call, const Sequences& sequences, const void* dy, float* sum,
                     cudaStream_t stream);
// Each group's by itself, from +0: the sum of a row that has tokens in group g is row
// slots[g * call.rows + row] of `of_tokens` [call.tokens, width]; of others that is negative.
void embedding_wgrad_rows(const Table& call, const Sequences& sequences, const void* dy,
                          float* of_tokens, int32_t* slots, cudaStream_t stream);

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
  Sequences sequences_of_call;
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

}  // namespace samebits::cuda
