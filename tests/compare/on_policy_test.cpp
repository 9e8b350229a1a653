#include "harness/compare/on_policy.h"

#include <gmock/gmock.h>

#include <cmath>

#include "tests/compare/streams.h"

namespace samebits {
namespace {

using testing::arm_of;
using testing::grpo_stream;
using ::testing::HasSubstr;
using testing::recording;

// The trainer finds another logprob at step 1, sample 1, token 0, `ulp` representable values away.
ArmRecording with_gap(int64_t ulp, int64_t steps = 3) {
  std::vector<Observation> stream = grpo_stream(steps);
  for (Observation& each : stream) {
    const bool is_it = each.step == 1 && each.phase == "train" && each.site == "logprob[1,0]";
    if (is_it) testing::nudge(each, ulp);
  }
  return recording("a", std::move(stream));
}

TEST(OnPolicy, HoldsWhereBothSidesHaveTheSameBits) {
  const auto on_policy = on_policy_of(arm_of(""), recording("a", grpo_stream(3)));
  ASSERT_TRUE(on_policy);
  EXPECT_TRUE(on_policy->holds);
  EXPECT_EQ(on_policy->tokens(), 12);
  EXPECT_EQ(on_policy->different(), 0);
  EXPECT_EQ(on_policy->text(), "generator and trainer agree to the bit on 12 tokens");
}

TEST(OnPolicy, OneTokenThatDiffersByOneUlpFailsAndIsNamed) {
  const auto on_policy = on_policy_of(arm_of(""), with_gap(1));
  ASSERT_TRUE(on_policy);
  EXPECT_FALSE(on_policy->holds);
  EXPECT_EQ(on_policy->different(), 1);
  EXPECT_EQ(on_policy->comparison.first->place(), "step 1, train, logprob[1,0]");
  EXPECT_EQ(on_policy->text(), "generator and trainer differ on 1 of 12 tokens, by up to 1 ULP");
  ASSERT_EQ(on_policy->steps.size(), 3u);
  EXPECT_EQ(on_policy->steps[0].different, 0);
  EXPECT_EQ(on_policy->steps[1].different, 1);
}

TEST(OnPolicy, BoundHoldsUpToItselfAndNoFurther) {
  const CaseArm arm = arm_of(R"("on_policy": {"holds": "ulp", "max_ulp": 3, "reason": "r"})");
  EXPECT_TRUE(on_policy_of(arm, with_gap(3))->holds);
  EXPECT_FALSE(on_policy_of(arm, with_gap(4))->holds);
}

TEST(OnPolicy, ControlMustDiffer) {
  const CaseArm arm = arm_of(R"("on_policy": {"holds": "must_diverge", "reason": "r"})");
  EXPECT_TRUE(on_policy_of(arm, with_gap(1))->holds);
  EXPECT_FALSE(on_policy_of(arm, with_gap(0))->holds);
}

TEST(OnPolicy, AnotherProgramIsJudgedWhereItsArmAsks) {
  const std::string program = R"("command": ["p", "{out}"])";
  EXPECT_FALSE(on_policy_of(arm_of(program), with_gap(1)));
  const CaseArm asks = arm_of(program + R"(, "on_policy": {"holds": "bit_exact"})");
  EXPECT_TRUE(on_policy_of(asks, with_gap(0))->holds);
  EXPECT_FALSE(on_policy_of(asks, with_gap(1))->holds);
  EXPECT_FALSE(on_policy_of(asks, recording("a", {}))->holds);
}

TEST(OnPolicy, WithoutBatchInvariantNumericsNothingIsJudged) {
  for (const char* numerics :
       {R"("numerics": {"batch_invariant": false})", R"("numerics": {"attention": "sdpa"})"}) {
    const auto on_policy = on_policy_of(arm_of(numerics), with_gap(9));
    EXPECT_EQ(on_policy->rule.holds, Holds::kNothing);
    EXPECT_THAT(on_policy->rule.reason, HasSubstr("not batch-invariant"));
    EXPECT_TRUE(on_policy->holds);
    EXPECT_EQ(on_policy->different(), 1) << "it is told all the same";
  }
}

TEST(OnPolicy, NoTokenThatBothSidesScoredIsNoAgreement) {
  std::vector<Observation> stream = grpo_stream(2);
  std::erase_if(stream, [](const Observation& each) {
    return each.phase == "train" && each.site.starts_with("logprob");
  });
  EXPECT_FALSE(on_policy_of(arm_of(""), recording("a", stream))->holds);
  EXPECT_FALSE(on_policy_of(arm_of(""), ArmRecording())->holds);
}

TEST(OnPolicy, TokenThatOnlyOneSideScoredFails) {
  std::vector<Observation> stream = grpo_stream(2);
  std::erase_if(stream, [](const Observation& each) {
    return each.phase == "train" && each.step == 1 && each.site == "logprob[0,1]";
  });
  EXPECT_FALSE(on_policy_of(arm_of(""), recording("a", stream))->holds);
}

TEST(OnPolicy, NanOnBothSidesIsNoAgreement) {
  std::vector<Observation> stream = grpo_stream(2);
  for (Observation& each : stream) {
    if (each.site == "logprob[0,0]") {
      each = observe_float32(each.step, each.phase, 0, each.site, std::nanf(""));
    }
  }
  EXPECT_FALSE(on_policy_of(arm_of(""), recording("a", stream))->holds);
}

TEST(OnPolicy, StepThatWasCutOffIsNotHeldAgainstItsRollout) {
  ArmRecording cut = recording("a", grpo_stream(2));
  std::erase_if(cut.ranks[0].observations,
                [](const Observation& each) { return each.step == 1 && each.phase != "rollout"; });
  cut.finished = false;
  cut.steps.pop_back();
  EXPECT_TRUE(on_policy_of(arm_of(""), cut)->holds);
}

TEST(OnPolicy, WorkloadsThatDoNotTrainHaveNone) {
  const CaseArm arm = arm_of(R"("workload": {"name": "decode"})");
  EXPECT_FALSE(on_policy_of(arm, recording("a", grpo_stream(2))));
}

}  // namespace
}  // namespace samebits
