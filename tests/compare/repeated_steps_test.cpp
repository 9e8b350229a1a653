#include "harness/compare/repeated_steps.h"

#include <gmock/gmock.h>

#include "tests/compare/streams.h"

namespace samebits {
namespace {

using testing::arm_of;
using testing::grpo_stream;

// `steps` steps, each with what the first one has at the sites that begin with `kind`.
std::vector<Observation> repeating(const std::vector<std::string>& kinds, int64_t steps = 3) {
  std::vector<Observation> stream = grpo_stream(steps);
  const std::vector<Observation> first = grpo_stream(1);
  for (Observation& each : stream) {
    for (const std::string& kind : kinds) {
      if (!each.site.starts_with(kind)) continue;
      const int64_t step = each.step;
      each = first.at(testing::at_site(first, 0, each.site));
      each.step = step;
    }
  }
  return stream;
}

std::vector<std::string> texts(const CaseArm& arm, const std::vector<Observation>& stream,
                               bool faults = true) {
  std::vector<std::string> list;
  for (const RepeatedStep& each : repeated_steps(arm, stream)) {
    if (each.is_fault == faults) list.push_back(each.text());
  }
  return list;
}

TEST(RepeatedSteps, StepsThatMoveHaveNone) {
  EXPECT_TRUE(repeated_steps(arm_of(""), grpo_stream(3)).empty());
}

TEST(RepeatedSteps, RolloutsThatAreCopiesFail) {
  EXPECT_THAT(
      texts(arm_of(""), repeating({"completion", "logprob"})),
      ::testing::ElementsAre("the rollouts of step 1 are those of step 0 (in 2 of 2 steps)"));
}

TEST(RepeatedSteps, TheSameTokensWithOtherLogprobsAreNoCopy) {
  EXPECT_TRUE(texts(arm_of(""), repeating({"completion"})).empty());
}

TEST(RepeatedSteps, WeightsThatStayFail) {
  EXPECT_THAT(
      texts(arm_of(""), repeating({"norm.weight", "output.weight"})),
      ::testing::ElementsAre("the weights of step 1 are those of step 0 (in 2 of 3 steps)"));
}

TEST(RepeatedSteps, FirstStepIsHeldAgainstWhatTheGeneratorBeganWith) {
  std::vector<Observation> stream = grpo_stream(1);
  const auto put = [&](const std::string& site, float value) {
    stream.at(testing::at_site(stream, 0, site)) = testing::weight(0, site, value);
  };
  put("norm.weight", 0);
  EXPECT_TRUE(texts(arm_of(""), stream).empty()) << "one of the two has moved";
  put("output.weight", 10);
  EXPECT_THAT(texts(arm_of(""), stream),
              ::testing::ElementsAre("the weights of step 0 are the first ones (in 1 of 1 steps)"));
}

TEST(RepeatedSteps, ReasonInTheCaseAccepts) {
  const CaseArm arm = arm_of(R"("repeats": {"weights": "lr is 0"})");
  const auto still = repeating({"norm.weight", "output.weight"});
  EXPECT_TRUE(texts(arm, still).empty());
  ASSERT_EQ(repeated_steps(arm, still).size(), 1u) << "and is told";
  EXPECT_EQ(repeated_steps(arm, still)[0].accepted, "lr is 0");
  EXPECT_EQ(texts(arm, repeating({"completion", "logprob"})).size(), 1u) << "of weights alone";
}

TEST(RepeatedSteps, EqualRewardsAreToldAndNoFault) {
  const auto stream = repeating({"reward["});
  EXPECT_TRUE(texts(arm_of(""), stream).empty());
  EXPECT_EQ(texts(arm_of(""), stream, /*faults=*/false).size(), 1u);
}

TEST(RepeatedSteps, DrawsThatAreTheSameFail) {
  std::vector<Observation> stream = grpo_stream(2);
  for (int64_t step = 0; step < 2; ++step) {
    stream.insert(stream.begin() + step, testing::tokens(step, "draw[0]", {42, 0}));
  }
  EXPECT_THAT(texts(arm_of(""), stream),
              ::testing::ElementsAre("the draws of step 1 are those of step 0 (in 1 of 1 steps)"));
  stream[1] = testing::tokens(1, "draw[0]", {42, 40});
  EXPECT_TRUE(texts(arm_of(""), stream).empty());
}

TEST(RepeatedSteps, WorkloadsThatDoNotTrainMayRepeat) {
  const CaseArm arm = arm_of(R"("workload": {"name": "decode"})");
  EXPECT_TRUE(repeated_steps(arm, repeating({"completion", "logprob"})).empty());
}

}  // namespace
}  // namespace samebits
