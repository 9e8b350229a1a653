#include "harness/diagnose/model_cut.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/bits/safetensors.h"
#include "harness/model/architecture.h"
#include "harness/model/checkpoint.h"
#include "harness/model/config.h"
#include "harness/observe/tensor_observation.h"
#include "harness/tokenizer/tokenizer.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;

constexpr char kConfigFile[] = "config.json";
constexpr char kGenerationFile[] = "generation_config.json";

// Ids of tokens that a smaller vocabulary does not have: a completion then ends by its length.
void drop_tokens_beyond(Json& json, int64_t vocabulary) {
  for (const char* key : {"eos_token_id", "bos_token_id", "pad_token_id"}) {
    if (!json.contains(key)) continue;
    const Json ids = json.at(key).is_array() ? json.at(key) : Json::array({json.at(key)});
    const bool is_beyond = std::any_of(ids.begin(), ids.end(), [&](const Json& id) {
      return id.is_number_integer() && id.get<int64_t>() >= vocabulary;
    });
    if (is_beyond) json.erase(key);
  }
}

// What config.json says of a model of these sizes.
Json cut_config(Json config, const Json& sizes) {
  for (const auto& [key, value] : sizes.items()) config[key] = value;
  if (!sizes.contains("num_hidden_layers")) return config;
  const auto layers = sizes.at("num_hidden_layers").get<int64_t>();
  if (config.contains("layer_types") && config["layer_types"].is_array()) {
    Json& types = config["layer_types"];
    while (static_cast<int64_t>(types.size()) > layers) types.erase(types.size() - 1);
  }
  if (config.contains("max_window_layers") && config["max_window_layers"].is_number_integer()) {
    config["max_window_layers"] = std::min(config["max_window_layers"].get<int64_t>(), layers);
  }
  return config;
}

// The corner of each weight that the smaller model has.
void write_weights(const fs::path& from, const fs::path& to) {
  const Weights whole = load_checkpoint(from, decoder_config_from_folder(from));
  const DecoderConfig config = decoder_config_from_folder(to);
  std::vector<std::pair<std::string, at::Tensor>> cut;
  for (const auto& [name, shape] : architecture_of(config).weight_shapes(config)) {
    at::Tensor weight = whole.at(name);
    for (size_t dim = 0; dim < shape.size(); ++dim) {
      weight = weight.narrow(static_cast<int64_t>(dim), 0, shape[dim]);
    }
    cut.emplace_back(name, weight.contiguous());
  }
  std::vector<TensorView> views;
  for (const auto& [name, tensor] : cut) {
    const auto* bytes = static_cast<const std::byte*>(tensor.const_data_ptr());
    views.push_back({name,
                     dtype_from_scalar_type(tensor.scalar_type()),
                     tensor.sizes().vec(),
                     {bytes, tensor.nbytes()}});
  }
  write_safetensors((to / "model.safetensors").string(), views, {{"format", "pt"}});
}

void write_json(const fs::path& file, const Json& json) {
  write_text_file(file.string(), json.dump(2) + "\n");
}

// Everything that is read beside the weights.
void copy_files(const fs::path& from, const fs::path& to, bool with_weights) {
  for (const fs::directory_entry& entry : fs::directory_iterator(from)) {
    if (!entry.is_regular_file()) continue;
    const std::string name = entry.path().filename().string();
    const std::string kind = entry.path().extension().string();
    const bool is_weights = kind == ".safetensors" || name.ends_with(".safetensors.index.json");
    const bool is_read = is_weights ? with_weights : kind == ".json" || kind == ".txt";
    if (is_read) fs::copy_file(entry.path(), to / name);
  }
}

}  // namespace

std::vector<ModelSize> model_sizes_of(const fs::path& folder, const Json& cut,
                                      const std::vector<std::string>& prompts) {
  const DecoderConfig config = decoder_config_from_folder(folder);
  const Tokenizer tokenizer = Tokenizer::from_folder(folder);
  int64_t last_token = 0;
  for (const std::string& prompt : prompts) {
    for (const int64_t id : tokenizer.encode(prompt)) last_token = std::max(last_token, id);
  }
  const auto size = [&](const char* key, const char* name, int64_t whole, int64_t least,
                        int64_t multiple) {
    return ModelSize{key, name, cut.value(key, whole), least, multiple};
  };
  const int64_t keys = cut.value("num_key_value_heads", config.num_key_value_heads);
  constexpr int64_t kStep = 16;  // of products in a matrix step: no chain gets an uneven end
  return {size("num_hidden_layers", "layers", config.num_hidden_layers, 1, 1),
          size("vocab_size", "vocabulary", config.vocab_size, last_token + 1, 1),
          size("intermediate_size", "intermediate size", config.intermediate_size, kStep, kStep),
          size("num_attention_heads", "heads", config.num_attention_heads, keys, keys),
          size("num_key_value_heads", "key-value heads", config.num_key_value_heads, 1, 1),
          size("hidden_size", "hidden size", config.hidden_size, kStep, kStep),
          size("head_dim", "head size", config.head_dim, kStep, kStep)};
}

void write_cut_model(const fs::path& from, const Json& sizes, const fs::path& to) {
  make_folder(to);
  copy_files(from, to, /*with_weights=*/sizes.empty());
  if (sizes.empty()) return;
  const auto vocabulary = sizes.contains("vocab_size")
                              ? sizes.at("vocab_size").get<int64_t>()
                              : decoder_config_from_folder(from).vocab_size;
  for (const char* name : {kConfigFile, kGenerationFile}) {
    if (!fs::exists(from / name)) continue;
    Json json = read_json_file(from / name);
    if (name == kConfigFile) json = cut_config(std::move(json), sizes);
    drop_tokens_beyond(json, vocabulary);
    write_json(to / name, json);
  }
  write_weights(from, to);
}

}  // namespace samebits
