#include <gmock/gmock.h>

#include "harness/base/error.h"
#include "harness/diagnose/blame_run.h"
#include "harness/diagnose/replay.h"
#include "tests/diagnose/support.h"
#include "tests/support/message_of.h"

namespace samebits {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using testing::kBrokenSync;
using testing::kOtherRounding;
using testing::message_of;
using ::testing::Pair;

class Blamed : public testing::Diagnosis {
 protected:
  std::vector<Blame> blamed(const std::vector<std::string>& overrides, bool replays = true) {
    run(small_case(overrides), options(Existing::kReplace));
    Progress silent = Progress::silent();
    return blame_run({options().out, {}, replays ? folder_ / "blame" : ""}, silent);
  }
  CaseArm arm_with(const std::vector<std::string>& overrides) const {
    return small_case(overrides).arm("a");
  }
};

TEST_F(Blamed, NothingOfAGreenRun) { EXPECT_TRUE(blamed({"steps=2"}).empty()); }

TEST_F(Blamed, TheGenerationOfAnotherRoundingAndItsTrainerToo) {
  const std::vector<Blame> blames = blamed(kOtherRounding);
  ASSERT_EQ(blames.size(), 1u);
  EXPECT_EQ(blames[0].phase, RlPhase::kGeneration);
  EXPECT_THAT(blames[0].facts, Contains(Pair("setting", HasSubstr("fused_rounding"))));
  for (const PhaseRow& row : blames[0].rows) {
    if (row.phase == RlPhase::kReward) EXPECT_EQ(row.replayed_equal, true);
    if (row.phase == RlPhase::kRecompute) EXPECT_EQ(row.replayed_equal, false);
  }
}

// On the same rollouts the trainers agree: the generator alone is at fault.
TEST_F(Blamed, TheGenerationAloneOfAGeneratorOfItsOwnRounding) {
  const std::vector<Blame> blames =
      blamed({R"(b.generator={"mode":"eager","numerics":{"fused_rounding":true}})"});
  ASSERT_EQ(blames.size(), 2u);
  EXPECT_EQ(blames[0].phase, RlPhase::kGeneration);
  for (const PhaseRow& row : blames[0].rows) {
    if (row.phase > RlPhase::kGeneration) EXPECT_EQ(row.replayed_equal, true) << text_of(blames[0]);
  }
  EXPECT_EQ(blames[1].arms, std::vector<std::string>{"b"});
  EXPECT_EQ(blames[1].phase, RlPhase::kGeneration) << text_of(blames[1]);
}

TEST_F(Blamed, TheRecomputeOfATrainerOfItsOwnRounding) {
  const std::vector<Blame> blames =
      blamed({R"(b.trainer={"mode":"eager","numerics":{"fused_rounding":true}})"});
  ASSERT_EQ(blames.size(), 2u);
  EXPECT_EQ(blames[0].phase, RlPhase::kRecompute);
  EXPECT_EQ(blames[1].phase, RlPhase::kRecompute) << text_of(blames[1]);
}

TEST_F(Blamed, TwoSidesAreAnOpenQuestionOfTheStreamsAlone) {
  const std::vector<Blame> blames = blamed(
      {R"(b.trainer={"mode":"eager","numerics":{"fused_rounding":true}})"}, /*replays=*/false);
  ASSERT_EQ(blames.size(), 2u);
  EXPECT_TRUE(blames[1].is_open);
  EXPECT_FALSE(blames[1].phase);
}

TEST_F(Blamed, TheSyncOfAnArmByItself) {
  const std::vector<Blame> blames = blamed(kBrokenSync);
  ASSERT_EQ(blames.size(), 2u);  // the arms are equal to each other
  EXPECT_EQ(blames[0].phase, RlPhase::kSync);
  EXPECT_EQ(blames[0].step, 0);
  EXPECT_THAT(blames[0].where, HasSubstr("stayed what it was in the generator"));
}

TEST_F(Blamed, GivenRolloutsAreThoseThatWereGenerated) {
  const CaseArm arm = arm_with({"steps=2"});
  const std::filesystem::path file = folder_ / "rollouts.json";
  RolloutsByStep rollouts = rollouts_of(arm, 2);
  const auto with_file = [&] {
    write_rollouts(file, rollouts);
    return observations_of(arm_with({"steps=2", "workload.rollouts=" + file.string()}), 2);
  };
  const std::vector<Observation> generated = observations_of(arm, 2);
  EXPECT_EQ(with_file(), generated);
  EXPECT_EQ(read_rollouts(file, 1003), rollouts);

  for (auto& step : rollouts) {
    for (Rollout& each : step) each.reward.reset();
  }
  EXPECT_EQ(with_file(), generated);
  rollouts[0][0].logprobs[0] -= 0.5f;
  const std::vector<Observation> other = with_file();
  EXPECT_EQ(observed_in(other, 0, RlPhase::kRecompute),
            observed_in(generated, 0, RlPhase::kRecompute));
  EXPECT_NE(observed_in(other, 0, RlPhase::kLoss), observed_in(generated, 0, RlPhase::kLoss));
}

TEST_F(Blamed, ABadFileOfRolloutsIsNamed) {
  const std::filesystem::path file = folder_ / "rollouts.json";
  const auto refused = [&](const std::string& text) {
    write(file, text);
    return message_of<InputError>([&] {
      run(small_case({"workload.rollouts=" + file.string()}), options(Existing::kReplace));
    });
  };
  EXPECT_THAT(refused("{}"), HasSubstr("steps"));
  EXPECT_THAT(refused(R"({"steps": [[{"tokens": [1], "logprobs": []}]]})"),
              HasSubstr("steps.0.0.logprobs: found 0 logprobs"));
  EXPECT_THAT(refused(R"({"steps": [[{"tokens": [1003], "logprobs": [0]}]]})"),
              HasSubstr("tokens.0"));
  EXPECT_THAT(refused(R"({"steps": [[{"tokens": [1], "logprobs": [0]}]]})"),
              HasSubstr("1 sequences"));
  const std::string five = R"({"tokens": [1,1,1,1,1], "logprobs": [0,0,0,0,0]})";
  EXPECT_THAT(refused("{\"steps\": [[" + five + "," + five + "]]}"), HasSubstr("5 tokens"));
}

}  // namespace
}  // namespace samebits
