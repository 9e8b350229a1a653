// The list of what has no effect: every row of it, and that nothing else is passed over.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <set>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/folder/known_keys.h"
#include "harness/folder/model_files.h"
#include "harness/folder/without_effect.h"
#include "harness/model/config.h"
#include "tests/base/message_of.h"
#include "tests/base/temporary_folder.h"

namespace samebits {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::vector<Json> kSomeValues = {nullptr,
                                       0,
                                       1,
                                       7,
                                       -1.5,
                                       true,
                                       false,
                                       "x",
                                       Json::array(),
                                       Json::array({1}),
                                       Json::object({{"a", 1}})};

TEST(WithoutEffect, EveryKeyStandsOnceWithAReason) {
  std::set<std::pair<std::string_view, std::string_view>> seen;
  for (const WithoutEffect& row : keys_without_effect()) {
    EXPECT_FALSE(row.reason.empty());
    EXPECT_FALSE(names_of(row).empty());
    for (const std::string_view key : names_of(row)) {
      EXPECT_FALSE(key.empty());
      EXPECT_TRUE(seen.emplace(row.object, key).second) << row.object << " " << key;
      EXPECT_EQ(find_without_effect(row.object, key), &row);
    }
  }
  EXPECT_GT(seen.size(), 150u);
}

TEST(WithoutEffect, OtherValuesThanThoseOfARowAreRefusedWithItsReason) {
  for (const WithoutEffect& row : keys_without_effect()) {
    for (const std::string_view key : names_of(row)) {
      for (const Json& value : kSomeValues) {
        SCOPED_TRACE(std::string(key) + " " + value.dump());
        const Json object = {{std::string(key), value}};
        const JsonReader reader(object, "file.json");
        const auto check = [&] { check_keys(reader, {row.object}, {}); };
        if (is_without_effect(row, value)) {
          EXPECT_NO_THROW(check());
          continue;
        }
        EXPECT_THAT(message_of<InputError>(check),
                    AllOf(HasSubstr("file.json: " + std::string(key) + ": found "),
                          HasSubstr(std::string(row.reason))));
      }
    }
  }
}

TEST(WithoutEffect, NullIsAValueLikeOthers) {
  const auto refusal = [](const char* key, const Json& value) {
    const Json object = {{key, value}};
    const JsonReader reader(object, "config.json");
    return message_of<InputError>([&] { check_keys(reader, {"config.json"}, {}); });
  };
  for (const char* key : {"attention_dropout", "initializer_range", "use_cache", "num_labels"}) {
    EXPECT_THAT(refusal(key, nullptr), HasSubstr(std::string(key) + ": found null"));
  }
  EXPECT_THAT(refusal("use_cache", "yes"), HasSubstr("expected nothing or a boolean"));
  EXPECT_THAT(refusal("bos_token_id", Json::array({1})),
              HasSubstr("expected nothing or an integer or null"));
}

class ModelFolder : public ::testing::Test {
 protected:
  DecoderConfig read(const Json& config, const Json& generation) {
    write_text_file(folder_ / "config.json", config.dump());
    write_text_file(folder_ / "generation_config.json", generation.dump());
    return decoder_config_from_folder(folder_.path());
  }
  TemporaryFolder folder_;
  const Json config_ = {{"model_type", "qwen3"},
                        {"vocab_size", 64},
                        {"head_dim", 8},
                        {"num_attention_heads", 8},
                        {"num_key_value_heads", 4}};
  const Json generation_ = {{"eos_token_id", 3}};
};

TEST_F(ModelFolder, KeysOfTheListChangeNothingThatIsRead) {
  const DecoderConfig plain = read(config_, generation_);
  for (const WithoutEffect& row : keys_without_effect()) {
    for (const std::string_view name : names_of(row)) {
      const std::string key(name);
      for (const Json& value : kSomeValues) {
        if (!is_without_effect(row, value)) continue;
        SCOPED_TRACE(key + " " + value.dump());
        Json config = config_;
        Json generation = generation_;
        if (row.object == "config.json") {
          config[key] = value;
        } else if (row.object == "generation_config.json") {
          generation[key] = value;
        } else if (row.object == "rope_parameters") {
          config["rope_parameters"] = {{"rope_theta", 10000.0}, {key, value}};
        } else {
          continue;
        }
        EXPECT_EQ(read(config, generation), plain);
      }
    }
  }
}

// A word that is no key by chance: it has a letter that no key has.
std::string random_key(std::mt19937& random) {
  std::string key = "Q";
  for (size_t length = 1 + random() % 12; length > 0; --length) {
    key += "abcdefghijklmnopqrstuvwxyz_"[random() % 27];
  }
  return key;
}

TEST_F(ModelFolder, AKeyThatNobodyKnowsIsRefusedByItsName) {
  std::mt19937 random(1);
  for (int i = 0; i < 300; ++i) {
    const std::string key = random_key(random);
    const Json& value = kSomeValues[random() % kSomeValues.size()];
    Json config = config_;
    Json generation = generation_;
    config["rope_parameters"] = Json::object({{"rope_theta", 1e4}});
    Json& object = i % 3 == 0 ? config : i % 3 == 1 ? generation : config["rope_parameters"];
    object[key] = value;
    EXPECT_THAT(message_of<InputError>([&] { read(config, generation); }),
                AllOf(HasSubstr(i % 3 == 1 ? "generation_config.json: " : "/config.json: "),
                      HasSubstr(key + ": found a key that samebits does not know")));
  }
}

TEST_F(ModelFolder, FilesThatAreNotRead) {
  const DecoderConfig plain = read(config_, generation_);
  for (const FileNotRead& file : files_not_read()) {
    const std::filesystem::path path = folder_ / std::string(file.name);
    write_text_file(path.string(), "what no reader takes");
    if (file.is_refused) {
      EXPECT_THAT(message_of<InputError>([&] { read(config_, generation_); }),
                  AllOf(HasSubstr(path.string()), HasSubstr(std::string(file.reason))));
    } else {
      EXPECT_EQ(read(config_, generation_), plain);
    }
    std::filesystem::remove(path);
  }
}

TEST_F(ModelFolder, AnUnknownKeyOfTheIndexIsRefused) {
  const std::string file = folder_ / "model.safetensors.index.json";
  write_text_file(file, R"({"metadata": {"total_size": 1}, "weight_map": {"a": "b.safetensors"}})");
  EXPECT_EQ(weight_files(folder_.path()).size(), 1u);
  write_text_file(file, R"({"weight_map": {"a": "b.safetensors"}, "scales": {}})");
  EXPECT_THAT(message_of<InputError>([&] { weight_files(folder_.path()); }),
              HasSubstr("scales: found a key"));
  write_text_file(file, R"({"weight_map": {}})");
  EXPECT_THAT(message_of<InputError>([&] { weight_files(folder_.path()); }),
              HasSubstr("weight_map"));
}

}  // namespace
}  // namespace samebits
