// What a tokenizer's files say beside the tokenizer itself: keys without effect, keys that nobody
// knows, and tokens that are named elsewhere. tests/workload/folder_forms_test.cpp compares whole
// folders with Transformers.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "harness/base/error.h"
#include "harness/folder/known_keys.h"
#include "tests/base/message_of.h"
#include "tests/base/temporary_folder.h"
#include "tests/tokenizer/oracle.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;
using Ids = std::vector<int64_t>;

struct Files {
  Json tokenizer = oracle_json("small.json");
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"}};
  std::optional<Json> special_tokens_map, added_tokens;

  Tokenizer read() const {
    const TemporaryFolder folder;
    write_text_file(folder / "tokenizer.json", tokenizer.dump());
    write_text_file(folder / "tokenizer_config.json", config.dump());
    if (special_tokens_map) {
      write_text_file(folder / "special_tokens_map.json", special_tokens_map->dump());
    }
    if (added_tokens) write_text_file(folder / "added_tokens.json", added_tokens->dump());
    return Tokenizer::from_folder(folder.path());
  }
  std::string refusal() const {
    return message_of<InputError>([&] { read(); });
  }
};

const char* const kText = "The capital, in 1492:\n<|im_end|> it's  Café ";

TEST(TokenizerFolder, KeysOfTheListChangeNoId) {
  const Ids plain = Files().read().encode(kText);
  for (const WithoutEffect& row : keys_without_effect()) {
    for (const std::string_view name : names_of(row)) {
      const std::string key(name);
      for (const Json& each : {Json(nullptr), Json(7), Json(false), Json("x"), Json::object()}) {
        if (!is_without_effect(row, each)) continue;
        SCOPED_TRACE(key + " " + each.dump());
        Files files;
        if (row.object == "tokenizer_config.json") {
          files.config[key] = each;
        } else if (row.object == "tokenizer.json") {
          files.tokenizer[key] = each;
        } else if (row.object == "tokenizer.json: model") {
          files.tokenizer["model"][key] = each;
        } else if (row.object == "tokenizer.json: ByteLevel after the model") {
          files.tokenizer["decoder"][key] = each;
        } else {
          continue;
        }
        EXPECT_EQ(files.read().encode(kText), plain);
      }
    }
  }
}

TEST(TokenizerFolder, AKeyThatNobodyKnowsIsRefusedByItsName) {
  std::mt19937 random(2);
  for (int i = 0; i < 100; ++i) {
    std::string key = "Q";
    for (size_t length = 1 + random() % 9; length > 0; --length) key += "abcdefgh_"[random() % 9];
    Files files;
    files.special_tokens_map = Json::object();
    Json* objects[] = {&files.tokenizer, &files.tokenizer["model"], &files.tokenizer["decoder"],
                       &files.config, &*files.special_tokens_map};
    (*objects[i % 5])[key] = i % 2 == 0 ? Json(3) : Json::object();
    EXPECT_THAT(files.refusal(), HasSubstr(key + ": found a key that samebits does not know"));
  }
}

TEST(TokenizerFolder, TokensThatOnlyOtherFilesNameGetTheNextIds) {
  Files files;
  files.config["extra_special_tokens"] = {"<a>", "<|im_end|>"};
  files.config["eos_token"] = "<b>";
  files.config["image_token"] = "<c>";
  const Tokenizer tokenizer = files.read();  // names first, then further names, then the list
  EXPECT_EQ(tokenizer.encode("<a><b><c>"), (Ids{812, 810, 811}));
  EXPECT_EQ(tokenizer.eos_id(), 810);
  EXPECT_EQ(tokenizer.decode(Ids{810}, /*skip_special=*/true), "");
}

TEST(TokenizerFolder, OlderFilesCountWithoutADecoderOnly) {
  Files files;
  files.special_tokens_map = Json::parse(R"({"eos_token": {"content": "<b>", "lstrip": true}})");
  files.added_tokens = Json::parse(R"({"<d>": 810})");
  EXPECT_EQ(files.read().encode("x <b><d>"), (Ids{files.read().encode("x").front(), 811, 810}));
  files.config["added_tokens_decoder"] = Json::object();
  EXPECT_EQ(files.read().eos_id(), std::nullopt);
  files.added_tokens = Json::parse(R"({"<d>": 815})");
  files.config.erase("added_tokens_decoder");
  EXPECT_THAT(files.refusal(), HasSubstr("found id 815 for \"<d>\", expected 810"));
}

TEST(TokenizerFolder, SavedTruncationIsSaidOnce) {
  Files files;
  files.tokenizer["truncation"] = {{"max_length", 4}};
  const TemporaryFolder folder;
  write_text_file(folder / "tokenizer.json", files.tokenizer.dump());
  ::testing::internal::CaptureStderr();
  const Ids ids = Tokenizer::from_folder(folder.path()).encode(kText);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("truncation has no effect"));
  EXPECT_EQ(ids, Files().read().encode(kText));
  ::testing::internal::CaptureStderr();
  Tokenizer::from_folder(folder.path());
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace samebits
