#include "harness/model/config.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.h"
#include "harness/folder/known_keys.h"
#include "harness/folder/model_files.h"
#include "harness/model/architecture_names.h"
#include "harness/model/config_keys.h"
#include "harness/model/ends_of_text.h"

namespace samebits {
namespace {

constexpr const char* kConfig = "config.json";

void check_architecture(const ConfigKeys& keys) {
  keys.only("model_type", {"qwen3"}, /*may_be_absent=*/false);
  keys.only("attention_bias", {false});
  // A null, too, makes Transformers' attention look ahead.
  const auto causal = keys.find_or_null("is_causal");
  if (causal && causal->value() != true) {
    causal->fail(causal->shown(), "true (attention is causal here)");
  }
  keys.only("hidden_act", {"silu", "swish"});
  keys.only("tokenizer_class", {"Qwen2Tokenizer", "Qwen2TokenizerFast", nullptr});
}

// The architecture among those that this program has; of an absent key the first.
std::string read_architecture(const ConfigKeys& keys) {
  std::string architecture = architecture_names().front().front();
  const auto names = keys.find("architectures");
  if (!names) return architecture;
  for (const JsonReader& name : names->array()) {
    const std::string found = name.string();
    std::vector<std::string> known;
    bool is_known = false;
    for (const std::vector<std::string>& each : architecture_names()) {
      known.push_back(each.front());
      if (std::find(each.begin(), each.end(), found) == each.end()) continue;
      architecture = each.front();
      is_known = true;
    }
    if (!is_known) name.fail(name.shown(), JsonReader::one_of_text(known, found));
  }
  return architecture;
}

// Refuses layers that look back over a window. Transformers takes the kinds of layers from
// layer_types, and else from the three keys of the window.
void check_layer_types(const ConfigKeys& keys, int64_t layers) {
  const bool is_used = keys.boolean("use_sliding_window", false);
  const auto window = keys.find_or_null("sliding_window");
  if (window && !window->value().is_null()) window->integer(0);
  const bool has_window = is_used && !(window && window->value().is_null());
  const int64_t first = keys.integer("max_window_layers", 0, 28);
  const auto types = keys.find("layer_types");
  if (!types) {
    if (!has_window || first >= layers) return;
    keys.fail("use_sliding_window", "true, with max_window_layers " + std::to_string(first),
              "false (samebits has no sliding windows)");
  }
  const std::vector<JsonReader> each = types->array();
  if (static_cast<int64_t>(each.size()) != layers) {
    types->fail(fmt::format("{} layers", each.size()),
                fmt::format("num_hidden_layers, {}", layers));
  }
  for (const JsonReader& type : each) {
    if (type.string() != "full_attention" && type.string() != "attention") {
      type.fail(type.shown(), "\"full_attention\" (samebits has no other layers)");
    }
  }
}

// torch.nn.Embedding counts a negative index from the end.
std::optional<int64_t> padding_id(const ConfigKeys& keys, int64_t vocab_size) {
  const auto value = keys.find("pad_token_id");
  if (!value) return std::nullopt;
  return token_id_of(*value, vocab_size).value_or(vocab_size - 1);
}

// What Transformers makes of the old keys and the new: rope_scaling comes before rope_parameters, a
// theta in that object before the one at the top.
double rope_theta(const ConfigKeys& keys) {
  const double at_the_top = keys.positive_number("rope_theta", 10000.0);
  auto object = keys.find("rope_scaling");
  if (!object || object->value().empty()) object = keys.find("rope_parameters");
  // Where both are there the second is not read, but must not say what samebits has not either.
  for (const char* name : {"rope_scaling", "rope_parameters"}) {
    const auto parameters = keys.find(name);
    if (!parameters) continue;
    for (const char* key : {"rope_type", "type"}) {
      ConfigKeys(*parameters).only(key, {"default"});
    }
    check_keys(*parameters, {"rope_parameters"}, {"rope_type", "type", "rope_theta"});
  }
  return object ? ConfigKeys(*object).positive_number("rope_theta", at_the_top) : at_the_top;
}

}  // namespace

DecoderConfig decoder_config_from_folder(const std::filesystem::path& folder) {
  refuse_foreign_files(folder);
  const Json json = read_json_file(folder / kConfig);
  const JsonReader root(json, (folder / kConfig).string());
  const ConfigKeys keys(root);
  check_architecture(keys);
  check_keys(root, {kConfig, "generation_config.json"},
             {"model_type",          "architectures",
              "vocab_size",          "hidden_size",
              "num_hidden_layers",   "num_attention_heads",
              "num_key_value_heads", "head_dim",
              "intermediate_size",   "max_position_embeddings",
              "rms_norm_eps",        "rope_theta",
              "rope_scaling",        "rope_parameters",
              "tie_word_embeddings", "hidden_act",
              "attention_bias",      "is_causal",
              "use_sliding_window",  "sliding_window",
              "max_window_layers",   "layer_types",
              "eos_token_id",        "pad_token_id",
              "tokenizer_class"});

  // An absent key has Transformers' default.
  DecoderConfig config;
  config.architecture = read_architecture(keys);
  config.vocab_size = keys.integer("vocab_size", 1, 151936);
  config.hidden_size = keys.integer("hidden_size", 1, 4096);
  config.num_hidden_layers = keys.integer("num_hidden_layers", 1, 32, /*max=*/1 << 16);
  config.num_attention_heads = keys.integer("num_attention_heads", 1, 32);
  const auto kv_heads = keys.find_or_null("num_key_value_heads");
  config.num_key_value_heads = kv_heads && kv_heads->value().is_null()
                                   ? config.num_attention_heads
                                   : keys.integer("num_key_value_heads", 1, 32);
  config.head_dim = keys.integer("head_dim", 1, 128);
  config.intermediate_size = keys.integer("intermediate_size", 1, 22016);
  config.max_position_embeddings = keys.integer("max_position_embeddings", 1, 32768);
  config.rms_norm_eps = keys.positive_number("rms_norm_eps", 1e-6);
  config.rope_theta = rope_theta(keys);
  config.tie_word_embeddings = keys.boolean("tie_word_embeddings", false);
  config.eos_token_ids = ends_of_text(folder, root, config.vocab_size);
  config.padding_id = padding_id(keys, config.vocab_size);
  check_layer_types(keys, config.num_hidden_layers);

  if (config.num_attention_heads % config.num_key_value_heads != 0) {
    keys.fail("num_key_value_heads", std::to_string(config.num_key_value_heads),
              fmt::format("a divisor of num_attention_heads ({})", config.num_attention_heads));
  }
  if (config.head_dim % 2 != 0) {
    keys.fail("head_dim", std::to_string(config.head_dim), "an even number");
  }
  return config;
}

}  // namespace samebits
