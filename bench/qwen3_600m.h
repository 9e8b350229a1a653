#pragma once

#include "harness/model/config.h"

namespace samebits {

// The shape of Qwen3-0.6B, with shorter positions.
inline DecoderConfig qwen3_600m() {
  DecoderConfig config;
  config.vocab_size = 151936;
  config.hidden_size = 1024;
  config.num_hidden_layers = 28;
  config.num_attention_heads = 16;
  config.num_key_value_heads = 8;
  config.head_dim = 128;
  config.intermediate_size = 3072;
  config.max_position_embeddings = 4096;
  config.tie_word_embeddings = true;
  return config;
}

// That of the tiny checkpoint, with longer positions: what a CPU runs in a benchmark's time.
inline DecoderConfig qwen3_tiny() {
  DecoderConfig config;
  config.vocab_size = 1003;
  config.hidden_size = 128;
  config.num_hidden_layers = 4;
  config.num_attention_heads = 16;
  config.num_key_value_heads = 8;
  config.head_dim = 16;
  config.intermediate_size = 384;
  config.max_position_embeddings = 4096;
  config.tie_word_embeddings = true;
  return config;
}

}  // namespace samebits
