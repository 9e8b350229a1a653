#pragma once

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "tests/support/random_model.h"

namespace samebits::testing {

// Random small models that lower to stages, and one decode step of each: the same on every machine.
class DecoderDraw {
 public:
  explicit DecoderDraw(uint64_t seed) : random_(seed) {}

  // Ends included.
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random_() % static_cast<uint64_t>(high - low + 1));
  }
  template <typename T>
  T one_of(const std::vector<T>& values) {
    return values[between(0, static_cast<int64_t>(values.size()) - 1)];
  }
  uint64_t seed() { return random_(); }

 private:
  std::mt19937_64 random_;
};

// Of whole tiles. `for_card`: what the card's kernel takes, too.
inline DecoderConfig random_decoder(DecoderDraw& draw, bool for_card) {
  DecoderConfig config;
  config.vocab_size = draw.between(5, 300);
  config.num_hidden_layers = draw.between(1, 4);
  config.num_key_value_heads = draw.one_of<int64_t>({1, 2, 4, 8});
  config.num_attention_heads = config.num_key_value_heads * draw.between(1, 4);
  config.max_position_embeddings = draw.one_of<int64_t>({64, 200, 700});
  config.rope_theta = draw.one_of<double>({1e4, 1e6});
  config.tie_word_embeddings = draw.between(0, 1) == 1;
  if (for_card) {
    config.hidden_size = 64 * draw.between(1, 16);
    config.head_dim = draw.one_of<int64_t>({16, 32, 64, 128});
    while (config.q_size() % 128 != 0 || config.q_size() > 4096) {
      config.num_attention_heads = config.num_key_value_heads *= 2;
      if (config.num_attention_heads > 32) {
        config.num_attention_heads = config.num_key_value_heads = 8;
      }
    }
    config.intermediate_size = 128 * draw.between(1, 24);
  } else {
    config.hidden_size = 8 * draw.between(1, 6);
    config.head_dim = 8 * draw.between(1, 3);
    config.intermediate_size = 8 * draw.between(1, 8);
  }
  return config;
}

inline std::string describe(const DecoderConfig& config) {
  return fmt::format("layers {}, heads {}/{} of {}, hidden {}, mlp {}, vocab {}",
                     config.num_hidden_layers, config.num_attention_heads,
                     config.num_key_value_heads, config.head_dim, config.hidden_size,
                     config.intermediate_size, config.vocab_size);
}

// SAMEBITS_RANDOM_MODELS, or so many.
inline uint64_t random_models(uint64_t otherwise) {
  const char* text = std::getenv("SAMEBITS_RANDOM_MODELS");
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace samebits::testing
