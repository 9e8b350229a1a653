#include "harness/diagnose/standing_case.h"

#include <gmock/gmock.h>

#include "harness/base/error.h"
#include "harness/diagnose/model_cut.h"
#include "harness/diagnose/reductions.h"
#include "harness/model/checkpoint.h"
#include "harness/model/config.h"
#include "tests/diagnose/support.h"
#include "tests/support/same_bits.h"
#include "tests/support/source_path.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;

const fs::path kCases = source_path("cases");

Candidate two_arms_of(const std::string& file, const std::string& a, const std::string& b) {
  CaseFailure failure;
  failure.arms = {a, b};
  failure.step = 99;
  return candidate_of(load_case(kCases / file), failure);
}

TEST(PlainCase, IsShortAndMeansTheSame) {
  const Candidate candidate = two_arms_of("grpo-tiny.json", "eager", "fused");
  const Json plain = plain_case(candidate.settings);
  EXPECT_EQ(plain.at("arms").dump(),
            R"({"eager":{},"fused":{"numerics":{"fused_rounding":true}}})");
  EXPECT_FALSE(plain.contains("seed"));  // the default
}

class PlainCaseOf : public ::testing::TestWithParam<std::array<const char*, 3>> {};

TEST_P(PlainCaseOf, ReadsBackToTheSameSettings) {
  const auto [file, a, b] = GetParam();
  const Candidate candidate = two_arms_of(file, a, b);
  const Case whole = case_of(candidate, "c.json");
  const Case read = parse_case(plain_case(candidate.settings).dump(), "c.json");
  ASSERT_EQ(read.arms.size(), 2u);
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(read.arms[i].canonical, whole.arms[i].canonical);
  EXPECT_EQ(read.relations.size(), whole.relations.size());
}

INSTANTIATE_TEST_SUITE_P(Cases, PlainCaseOf,
                         ::testing::Values(std::array{"grpo-tiny.json", "eager", "captured-tp2"},
                                           std::array{"torchtitan-2393.json", "fault",
                                                      "fault-full-graph-tp2"},
                                           std::array{"torchtitan-2393.json", "fault", "late"},
                                           std::array{"train-tiny.json", "eager", "captured"}));

class ModelCut : public testing::Run {};

TEST_F(ModelCut, IsTheCornerOfTheWeights) {
  const fs::path cut = folder_ / "cut";
  write_cut_model(model_, {{"num_hidden_layers", 2}, {"hidden_size", 64}, {"vocab_size", 500}},
                  cut);
  const DecoderConfig config = decoder_config_from_folder(cut);
  EXPECT_EQ(config.num_hidden_layers, 2);
  EXPECT_EQ(config.hidden_size, 64);
  EXPECT_TRUE(config.eos_token_ids.empty());  // 1000 is no token of it
  const Weights small = load_checkpoint(cut, config);
  const Weights whole = load_checkpoint(model_, decoder_config_from_folder(model_));
  EXPECT_TRUE(testing::same_bits(
      small.at("model.embed_tokens.weight"),
      whole.at("model.embed_tokens.weight").narrow(0, 0, 500).narrow(1, 0, 64).contiguous()));
  EXPECT_FALSE(small.contains("model.layers.2.mlp.up_proj.weight"));
}

TEST_F(ModelCut, WithoutSizesIsACopy) {
  write_cut_model(model_, Json::object(), folder_ / "copy");
  for (const char* name : {"model.safetensors", "config.json", "tokenizer.json"}) {
    EXPECT_EQ(read(folder_ / "copy" / name), read(model_ / name)) << name;
  }
}

TEST_F(ModelCut, KeepsTheTokensOfPrompts) {
  int64_t least = 0;
  for (const ModelSize& size : model_sizes_of(model_, Json::object(), {"Paris"})) {
    if (size.key == "vocab_size") least = size.least;
  }
  EXPECT_GT(least, 1);
  EXPECT_LT(least, 1003);
}

TEST_F(ModelCut, EverySizeAloneRuns) {
  size_t runs = 0;
  for (const ModelSize& size : model_sizes_of(model_, Json::object(), {"The capital", "Water"})) {
    const std::vector<int64_t> values = smaller_numbers(size.value, size.least, size.multiple);
    if (values.empty()) continue;  // heads of 16 are the smallest
    const fs::path cut = folder_ / size.key;
    const bool is_uneven = size.key == "num_key_value_heads" || size.key == "num_attention_heads";
    write_cut_model(testing::kTiny, {{size.key, is_uneven ? 8 : values.front()}}, cut);
    RunOptions where = options();
    where.out = folder_ / (size.key + "-run");
    const ReportRecord record = run(small_case({"model=" + cut.string()}), where);
    EXPECT_TRUE(record.holds) << size.key << ": " << record.headline;
    ++runs;
  }
  EXPECT_GE(runs, 6u);
}

}  // namespace
}  // namespace samebits
