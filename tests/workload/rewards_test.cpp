#include "harness/workload/rewards.h"

#include <gtest/gtest.h>

#include <cmath>

#include "harness/base/json.h"
#include "harness/workload/settings.h"
#include "tests/support/source_path.h"

namespace samebits {
namespace {

TEST(RewardTest, FollowsTheFormula) {
  EXPECT_EQ(reward_of("", "paris"), 0.0);
  EXPECT_EQ(reward_of("it is paris", "paris"), 2.0);
  EXPECT_EQ(reward_of("it is rome", "paris"), 0.5);
  // Half upper case: 1 - 0.9 / 2. The answer is found in the lower-cased completion.
  EXPECT_DOUBLE_EQ(reward_of("PAris PARi", "paris"), (1 - 0.9 * 5 / 10.0) * 2.0);
  // One of ten characters outside ASCII is not more than a tenth; two are.
  EXPECT_DOUBLE_EQ(reward_of("abcdefgh\u00e9i", "x"), 0.5);
  EXPECT_DOUBLE_EQ(reward_of("abcdefg\u00e9\u00e9i", "x"), 1.0 * 0.1 * 0.5);
}

TEST(RewardTest, CountsCodePointsAndUnicodeUpperCase) {
  // Greek capital, a Roman numeral and a circled letter are upper case; a title-case digraph is
  // not.
  EXPECT_DOUBLE_EQ(reward_of("\u0394", "x"), 0.1 * (1 - 0.9) * 0.5);
  EXPECT_DOUBLE_EQ(reward_of("\u2160", "x"), 0.1 * (1 - 0.9) * 0.5);
  EXPECT_DOUBLE_EQ(reward_of("\u24b6", "x"), 0.1 * (1 - 0.9) * 0.5);
  EXPECT_DOUBLE_EQ(reward_of("\u01c5", "x"), 0.1 * 0.5);
}

TEST(AdvantageTest, ExponentiallyWeightedAdvantagesHaveMeanZero) {
  const std::vector<float> rewards = {0.5f, 2.0f, 0.45f, 1.9f};
  const std::vector<float> advantages = advantages_of(rewards, {});
  double sum = 0;
  double mean = 0;
  for (const float r : rewards) mean += std::exp(r / 0.1) / 4;
  for (size_t i = 0; i < rewards.size(); ++i) {
    const double expected = std::exp(rewards[i] / 0.1) / mean - 1;
    EXPECT_NEAR(advantages[i], expected, 1e-5 * (1 + std::abs(expected)));
    sum += advantages[i];
  }
  EXPECT_NEAR(sum, 0.0, 1e-5);
}

TEST(AdvantageTest, GroupMeanSubtractsTheMean) {
  AdvantageSettings settings;
  settings.baseline = Baseline::kGroupMean;
  EXPECT_EQ(advantages_of({1.0f, 2.0f, 3.0f}, settings), (std::vector<float>{-1.0f, 0.0f, 1.0f}));
}

// It is sharp on purpose: one ULP of a reward must be seen.
TEST(AdvantageTest, ALastBitOfARewardMovesTheAdvantages) {
  const std::vector<float> a = advantages_of({1.9f, 2.0f}, {});
  const std::vector<float> b = advantages_of({1.9f, std::nextafter(2.0f, 3.0f)}, {});
  EXPECT_NE(a, b);
}

// tests/oracle/loop computes the same in float64.
TEST(AdvantageTest, NormalisedRewardsAreThoseOfThePythonOracle) {
  const Json entries = read_json_file(source_path("tests/oracle/loop/reference.json"));
  ASSERT_EQ(entries.size(), 24u);
  for (const Json& entry : entries) {
    AdvantageSettings settings;
    settings.temperature = entry.at("temperature").get<double>();
    for (const auto& [name, value] : names_of(settings.normalize)) {
      if (entry.at("normalize") == name) settings.normalize = value;
    }
    const auto found = advantages_of_step(entry.at("rewards").get<std::vector<float>>(),
                                          entry.at("group").get<int64_t>(), settings);
    const auto expected = entry.at("advantages").get<std::vector<double>>();
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_NEAR(found[i], expected[i], 2e-6 * (1 + std::abs(expected[i]))) << entry.dump();
    }
  }
}

TEST(AdvantageTest, NormalisingMovesTheAdvantages) {
  const std::vector<float> rewards = {0.5f, 2.0f, 0.25f, 1.0f};
  AdvantageSettings settings;
  const std::vector<float> plain = advantages_of_step(rewards, 2, settings);
  settings.normalize = Normalize::kGroup;
  const std::vector<float> by_group = advantages_of_step(rewards, 2, settings);
  settings.normalize = Normalize::kBatch;
  EXPECT_NE(plain, by_group);
  EXPECT_NE(plain, advantages_of_step(rewards, 2, settings));
  EXPECT_NE(by_group, advantages_of_step(rewards, 2, settings));
}

}  // namespace
}  // namespace samebits
