#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace samebits {

// The shape of a dense decoder, as a Hugging Face config.json states it (transformers,
// models/qwen3/configuration_qwen3.py). Const after loading.
struct DecoderConfig {
  std::string architecture = "Qwen3ForCausalLM";  // model/architecture.h
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  int64_t intermediate_size = 0;
  int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-6;
  double rope_theta = 1e6;
  bool tie_word_embeddings = false;
  std::vector<int64_t> eos_token_ids;  // empty: only the length ends a completion
  // A token whose row of the embedding gets no gradient where it is read, as Transformers trains.
  std::optional<int64_t> padding_id;

  bool operator==(const DecoderConfig&) const = default;
  int64_t q_size() const { return num_attention_heads * head_dim; }
  int64_t kv_size() const { return num_key_value_heads * head_dim; }
};

// Reads FOLDER/config.json, in the older form (rope_theta at the top) and the newer
// (rope_parameters), and the ends of a text from generation_config.json; absent keys have the
// defaults of Transformers. Throws InputError for another architecture, for what this Qwen3 has not
// (attention biases, sliding windows, scaled RoPE, another activation), and for every key that is
// neither read nor in the list of folder/without_effect.h.
DecoderConfig decoder_config_from_folder(const std::filesystem::path& folder);

// What a tensor-parallel degree asks of a model. Throws InputError naming the key of config.json
// that `tp` does not divide. With `tp_invariant` also what the eight K-slices ask.
void check_tensor_parallel(const DecoderConfig& config, int64_t tp, bool tp_invariant);

}  // namespace samebits
