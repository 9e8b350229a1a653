#include "harness/model/config.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "harness/core/error.h"
#include "harness/core/json.h"
#include "harness/model/numerics.h"

namespace samebits {
namespace {

using nlohmann::json;

// One config.json, with errors that name the file and the key.
class ConfigReader {
 public:
  explicit ConfigReader(const std::filesystem::path& file) : file_(file.string()) {
    root_ = read_json_file(file);
    if (!root_.is_object()) throw InputError(file_, root_.type_name(), "an object");
  }

  const json& root() const { return root_; }

  int64_t positive(const char* key) const {
    const json value = root_.value(key, json());
    if (!value.is_number_integer() || value.get<int64_t>() <= 0) {
      fail(key, value, "a positive integer");
    }
    // Keeps every product of two of these inside 64 bits.
    if (value.get<int64_t>() > (int64_t{1} << 31)) fail(key, value, "at most 2^31");
    return value.get<int64_t>();
  }

  double positive_number(const json& object, const char* key) const {
    const json value = object.value(key, json());
    if (!value.is_number() || !(value.get<double>() > 0)) fail(key, value, "a positive number");
    return value.get<double>();
  }

  // Refuses `key` unless it is absent, null or one of `accepted`.
  void only(const json& object, const char* key, std::initializer_list<json> accepted) const {
    const json value = object.value(key, json());
    if (value.is_null()) return;
    for (const json& each : accepted) {
      if (value == each) return;
    }
    std::string expected;
    for (const json& each : accepted) expected += (expected.empty() ? "" : " or ") + each.dump();
    fail(key, value, expected.empty() ? "null" : expected);
  }

  [[noreturn]] void fail(const std::string& key, const json& found,
                         const std::string& expected) const {
    throw InputError(fmt::format("{}: {}", file_, key),
                     found.is_null() ? "nothing" : found.dump().substr(0, 80), expected);
  }

 private:
  std::string file_;
  json root_;
};

std::vector<int64_t> eos_ids(const ConfigReader& reader, int64_t vocab_size) {
  const json value = reader.root().value("eos_token_id", json());
  std::vector<int64_t> ids;
  if (value.is_null()) return ids;
  for (const json& id : value.is_array() ? value : json::array({value})) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() >= vocab_size) {
      reader.fail("eos_token_id", id, fmt::format("a token id below {}", vocab_size));
    }
    ids.push_back(id.get<int64_t>());
  }
  return ids;
}

double rope_theta(const ConfigReader& reader) {
  const json& root = reader.root();
  reader.only(root, "rope_scaling", {});
  const json parameters = root.value("rope_parameters", json());
  if (parameters.is_null()) return reader.positive_number(root, "rope_theta");
  if (!parameters.is_object()) reader.fail("rope_parameters", parameters, "an object");
  reader.only(parameters, "rope_type", {"default"});
  return reader.positive_number(parameters, "rope_theta");
}

}  // namespace

Qwen3Config qwen3_config_from_folder(const std::filesystem::path& folder) {
  const ConfigReader reader(folder / "config.json");
  const json& root = reader.root();
  if (root.value("model_type", json()) != "qwen3") {
    reader.fail("model_type", root.value("model_type", json()), "\"qwen3\"");
  }
  reader.only(root, "attention_bias", {false});
  reader.only(root, "use_sliding_window", {false});
  reader.only(root, "hidden_act", {"silu"});

  Qwen3Config config;
  config.vocab_size = reader.positive("vocab_size");
  config.hidden_size = reader.positive("hidden_size");
  config.num_hidden_layers = reader.positive("num_hidden_layers");
  config.num_attention_heads = reader.positive("num_attention_heads");
  config.num_key_value_heads = reader.positive("num_key_value_heads");
  config.head_dim = root.contains("head_dim") ? reader.positive("head_dim")
                                              : config.hidden_size / config.num_attention_heads;
  config.intermediate_size = reader.positive("intermediate_size");
  config.max_position_embeddings = reader.positive("max_position_embeddings");
  config.rms_norm_eps = reader.positive_number(root, "rms_norm_eps");
  config.rope_theta = rope_theta(reader);
  reader.only(root, "tie_word_embeddings", {true, false});
  config.tie_word_embeddings = root.value("tie_word_embeddings", json()).is_null()
                                   ? false
                                   : root["tie_word_embeddings"].get<bool>();
  config.eos_token_ids = eos_ids(reader, config.vocab_size);

  if (config.num_attention_heads % config.num_key_value_heads != 0) {
    reader.fail("num_key_value_heads", config.num_key_value_heads,
                fmt::format("a divisor of num_attention_heads ({})", config.num_attention_heads));
  }
  if (config.head_dim % 2 != 0) reader.fail("head_dim", config.head_dim, "an even number");
  return config;
}

void check_tensor_parallel(const Qwen3Config& config, int64_t tp, bool tp_invariant) {
  const auto divides = [](const char* key, int64_t size, int64_t by, const char* what) {
    if (size % by != 0) {
      throw InputError(fmt::format("config.json: {}", key), std::to_string(size),
                       fmt::format("a multiple of {} ({})", by, what));
    }
  };
  divides("num_attention_heads", config.num_attention_heads, tp, "mesh.tp");
  divides("num_key_value_heads", config.num_key_value_heads, tp, "mesh.tp");
  divides("intermediate_size", config.intermediate_size, tp, "mesh.tp");
  if (!tp_invariant) return;
  if (Numerics::kSlices % tp != 0) {
    throw InputError("mesh.tp", std::to_string(tp), "1, 2, 4 or 8, as numerics.tp_invariant asks");
  }
  const char* slices = "the K-slices of numerics.tp_invariant";
  divides("num_attention_heads * head_dim", config.q_size(), Numerics::kSlices, slices);
  divides("num_key_value_heads * head_dim", config.kv_size(), Numerics::kSlices, slices);
  divides("intermediate_size", config.intermediate_size, Numerics::kSlices, slices);
}

}  // namespace samebits
