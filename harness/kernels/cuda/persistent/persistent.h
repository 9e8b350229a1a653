#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

// A decode step of a whole decoder as one cooperative kernel: what
// harness/capture/persistent/stages.h says, on raw pointers. As rows/launchers.h: everything is
// contiguous and on the card, bf16 where a pointer says uint16_t.
namespace samebits::cuda {

constexpr int kMaxDecodeLayers = 48;

// Shapes: [N, hidden] of projections, [hidden, heads * head_dim] of wo, [hidden, inner] of down.
struct DecodeLayer {
  const uint16_t* attention_norm;
  const uint16_t* wq;
  const uint16_t* wk;
  const uint16_t* wv;
  const uint16_t* q_norm;
  const uint16_t* k_norm;
  const uint16_t* wo;
  const uint16_t* ffn_norm;
  const uint16_t* gate;
  const uint16_t* up;
  const uint16_t* down;
  uint16_t* k_cache;  // [pages, page_rows, kv_heads, head_dim]
  uint16_t* v_cache;
  float attention_eps, q_eps, k_eps, ffn_eps;
};

// Values of a layer as its operators would leave them, [tokens, width] each; null: nobody wants it.
struct DecodeOutputs {
  uint16_t* attention_norm;
  uint16_t* q;
  uint16_t* k;
  uint16_t* v;
  uint16_t* q_norm;
  uint16_t* q_rope;
  uint16_t* k_norm;
  uint16_t* k_rope;
  uint16_t* attention;
  uint16_t* wo;
  uint16_t* attention_sum;
  uint16_t* ffn_norm;
  uint16_t* gate;
  uint16_t* up;
  uint16_t* product;
  uint16_t* down;
  uint16_t* ffn_sum;
};

struct PersistentStep {
  // Tokens of the step, from `first` on; all of them have attention's inputs, and what is written
  // [tokens] below has only these.
  int tokens;  // 1 to kDecodeTokens
  int first;
  int all_tokens;
  int layers;
  int hidden, heads, kv_heads, head_dim, inner;
  int head_rows;  // of the model's head: the vocabulary, padded
  float final_eps;
  float scale;

  const int64_t* ids;          // [tokens]
  const int64_t* positions;    // [tokens]
  const int64_t* slots;        // [tokens]
  const int64_t* rows;         // [tokens], of all tokens
  const int32_t* block_table;  // [all tokens, table_width]
  const int32_t* cu_seqlens;   // [all tokens + 1]
  const int32_t* seq_lens;     // [all tokens]
  int64_t table_width, pages, page_rows;

  const float* cos;  // [turns, head_dim / 2]
  const float* sin;
  int64_t turns;
  const uint16_t* embedding;  // [embedding_rows, hidden]
  int64_t embedding_rows;
  const uint16_t* final_norm;
  const uint16_t* head;  // [head_rows, hidden]

  // sample.h without filters; token null: nobody wants it, and the rest is not there.
  int64_t vocab;
  const int64_t* keys;  // [tokens, 2]
  uint64_t seed;
  float temperature;
  int64_t* token;  // [tokens]
  float* logprob;  // [tokens]

  uint16_t* logits;       // [tokens, head_rows]
  uint16_t* embedded;     // [tokens, hidden], or null; so are the next two
  uint16_t* final_value;  // the final norm
  uint16_t* final_taken;  // and of the rows that are taken
  int64_t* exchanges;     // exchange_words() elements (decode_tiles.h)
  int64_t* progress;      // [2]: steps, stages
  bool is_observed;       // whether any of `outputs`, or of the three after logits, is there

  int64_t patience;  // cycles that a wait may take before it is a fault

  DecodeLayer layer[kMaxDecodeLayers];
  DecodeOutputs outputs[kMaxDecodeLayers];
};

// Why the kernel cannot run a step of these sizes; "" where it can.
const char* why_not_decode(const PersistentStep& step);

// Returns what the launch returned. Faults: fault.h.
cudaError_t decode_step(const PersistentStep& step, cudaStream_t stream);

}  // namespace samebits::cuda
