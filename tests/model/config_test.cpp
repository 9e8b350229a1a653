#include "harness/model/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/model/architecture.h"
#include "harness/model/architecture_names.h"
#include "tests/base/message_of.h"
#include "tests/base/temporary_folder.h"

namespace samebits {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

json good_config() {
  return {{"model_type", "qwen3"},  {"vocab_size", 1003},        {"hidden_size", 128},
          {"num_hidden_layers", 2}, {"num_attention_heads", 16}, {"num_key_value_heads", 8},
          {"head_dim", 16},         {"intermediate_size", 384},  {"max_position_embeddings", 512},
          {"rms_norm_eps", 1e-6},   {"rope_theta", 1e6},         {"tie_word_embeddings", true},
          {"eos_token_id", 0},      {"attention_bias", false},   {"rope_scaling", nullptr},
          {"hidden_act", "silu"}};
}

class ConfigTest : public ::testing::Test {
 protected:
  DecoderConfig read(const json& config) {
    write_text_file(folder_ / "config.json", config.dump());
    return decoder_config_from_folder(folder_.path());
  }
  std::string refusal(const std::string& key, const json& value) {
    json config = good_config();
    config[key] = value;
    return message_of<InputError>([&] { read(config); });
  }
  TemporaryFolder folder_;
};

TEST_F(ConfigTest, ReadsTheOlderForm) {
  const DecoderConfig config = read(good_config());
  EXPECT_EQ(config.q_size(), 256);
  EXPECT_EQ(config.kv_size(), 128);
  EXPECT_EQ(config.rope_theta, 1e6);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_EQ(config.eos_token_ids, std::vector<int64_t>{0});
}

TEST_F(ConfigTest, ReadsTheNewerForm) {
  json config = good_config();
  config.erase("rope_theta");
  config["rope_parameters"] = {{"rope_theta", 5e5}, {"rope_type", "default"}};
  config["eos_token_id"] = {1, 2};
  EXPECT_EQ(read(config).rope_theta, 5e5);
  EXPECT_EQ(read(config).eos_token_ids, (std::vector<int64_t>{1, 2}));
}

TEST_F(ConfigTest, NamesTheKeyThatIsWrong) {
  const auto names = [&](const char* key) {
    return AllOf(HasSubstr("config.json"), HasSubstr(key), HasSubstr("expected"));
  };
  EXPECT_THAT(refusal("model_type", "llama"), names("model_type"));
  EXPECT_THAT(refusal("hidden_size", "128"), names("hidden_size"));
  EXPECT_THAT(refusal("hidden_size", -1), names("hidden_size"));
  EXPECT_THAT(refusal("vocab_size", int64_t{1} << 40), names("vocab_size"));
  EXPECT_THAT(refusal("attention_bias", true), names("attention_bias"));
  EXPECT_THAT(refusal("hidden_act", "gelu"), names("hidden_act"));
  EXPECT_THAT(refusal("rope_scaling", {{"type", "yarn"}}), names("rope_scaling"));
  EXPECT_THAT(refusal("rms_norm_eps", 0), names("rms_norm_eps"));
  EXPECT_THAT(refusal("num_key_value_heads", 5), names("num_key_value_heads"));
  EXPECT_THAT(refusal("head_dim", 15), names("head_dim"));
  EXPECT_THAT(refusal("eos_token_id", 1003), names("eos_token_id"));
  EXPECT_THAT(refusal("pad_token_id", 1003), names("pad_token_id"));
  EXPECT_THAT(refusal("tokenizer_class", "LlamaTokenizer"), names("tokenizer_class"));
  EXPECT_THAT(refusal("num_hidden_layers", 1 << 20), names("num_hidden_layers"));
}

TEST_F(ConfigTest, AttentionThatLooksAheadIsRefusedAlsoWhereItIsNull) {
  EXPECT_THAT(refusal("is_causal", false), HasSubstr("is_causal: found false, expected true"));
  EXPECT_THAT(refusal("is_causal", nullptr), HasSubstr("is_causal: found null, expected true"));
  json config = good_config();
  config["is_causal"] = true;
  EXPECT_EQ(read(config), read(good_config()));
}

TEST_F(ConfigTest, ReadsWindowsThatNoLayerHas) {
  json config = good_config();
  config["use_sliding_window"] = true;
  config["max_window_layers"] = 2;
  EXPECT_EQ(read(config), read(good_config()));
  config["max_window_layers"] = 1;
  EXPECT_THAT(message_of<InputError>([&] { read(config); }), HasSubstr("use_sliding_window"));
  config["layer_types"] = {"full_attention", "full_attention"};
  EXPECT_EQ(read(config), read(good_config()));
  config["layer_types"] = {"full_attention", "sliding_attention"};
  EXPECT_THAT(message_of<InputError>([&] { read(config); }), HasSubstr("layer_types.1"));
}

TEST_F(ConfigTest, TakesTheEndsOfTextFromTheGenerationConfigWhereThereIsOne) {
  const std::string file = folder_ / "generation_config.json";
  write_text_file(file, R"({"eos_token_id": [7, -1, 9]})");
  EXPECT_EQ(read(good_config()).eos_token_ids, (std::vector<int64_t>{7, 9}));
  write_text_file(file, R"({"temperature": 0.6})");
  EXPECT_TRUE(read(good_config()).eos_token_ids.empty());
  write_text_file(file, R"({"eos_token_id": 1003})");
  EXPECT_THAT(message_of<InputError>([&] { read(good_config()); }),
              AllOf(HasSubstr("generation_config.json"), HasSubstr("eos_token_id")));
}

TEST_F(ConfigTest, RefusesWhatIsNoJsonAndNoFile) {
  EXPECT_THAT(message_of<InputError>([&] { decoder_config_from_folder(folder_.path()); }),
              HasSubstr("config.json"));
  write_text_file(folder_ / "config.json", "{\"model_type\": ");
  EXPECT_THAT(message_of<InputError>([&] { decoder_config_from_folder(folder_.path()); }),
              HasSubstr("config.json: line 1, column "));
}

TEST_F(ConfigTest, TensorParallelMustDivide) {
  json uneven = good_config();
  uneven["num_attention_heads"] = 6;
  uneven["num_key_value_heads"] = 2;
  uneven["head_dim"] = 32;
  const DecoderConfig config = read(uneven);
  EXPECT_NO_THROW(check_tensor_parallel(config, 2, true));
  EXPECT_THAT(message_of<InputError>([&] { check_tensor_parallel(config, 4, true); }),
              HasSubstr("num_attention_heads"));
  EXPECT_THAT(message_of<InputError>([&] { check_tensor_parallel(read(good_config()), 16, true); }),
              HasSubstr("num_key_value_heads"));
  json odd = good_config();
  odd["intermediate_size"] = 36;
  EXPECT_THAT(message_of<InputError>([&] { check_tensor_parallel(read(odd), 1, true); }),
              HasSubstr("K-slices"));
  EXPECT_NO_THROW(check_tensor_parallel(read(odd), 1, false));
}

TEST(KnownArchitectures, EachNameHasADefinition) {
  for (const std::vector<std::string>& names : architecture_names()) {
    DecoderConfig config;
    config.architecture = names.front();
    EXPECT_EQ(architecture_of(config).name, names.front());
  }
  EXPECT_EQ(architectures().size(), architecture_names().size());
  DecoderConfig unknown;
  unknown.architecture = "Qwen4ForCausalLM";
  EXPECT_THROW(architecture_of(unknown), std::logic_error);
}

}  // namespace
}  // namespace samebits
