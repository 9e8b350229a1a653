#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>

#include "harness/mesh/device_mesh.h"
#include "harness/model/qwen3.h"
#include "tests/support/same_bits.h"

namespace samebits::testing {

// A small Qwen3 shape with grouped heads; TP 1, 2, 4 and 8 divide it.
inline DecoderConfig small_config() {
  DecoderConfig config;
  config.vocab_size = 61;
  config.hidden_size = 32;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 16;
  config.num_key_value_heads = 8;
  config.head_dim = 8;
  config.intermediate_size = 64;
  config.max_position_embeddings = 128;
  config.tie_word_embeddings = true;
  config.eos_token_ids = {0};
  return config;
}

// Weights of ordinary size from a seed: norms near 1, matrices near 1 / sqrt(fan-in).
inline Weights random_weights(const DecoderConfig& config, uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  Weights weights;
  for (const auto& [name, shape] : qwen3_weight_shapes(config)) {
    at::Tensor weight = at::randn(shape, generator);
    if (shape.size() == 1) {
      weight = 1.0 + 0.1 * weight;
    } else {
      weight = weight / std::sqrt(static_cast<double>(shape.back()));
    }
    weights[name] = weight.to(at::kBFloat16);
  }
  return weights;
}

inline std::unique_ptr<Decoder> random_model(const DecoderConfig& config, const Numerics& numerics,
                                             int64_t tp, uint64_t seed) {
  const TensorParallel parallel = tp == 1 ? TensorParallel() : TensorParallel(make_local_mesh(tp));
  return std::make_unique<Qwen3>(config, numerics, parallel, random_weights(config, seed));
}

}  // namespace samebits::testing
