#include "harness/diagnose/case_failure.h"

#include <gmock/gmock.h>

#include <cmath>

#include "harness/base/error.h"
#include "harness/observe/run_files.h"
#include "tests/compare/streams.h"
#include "tests/diagnose/support.h"
#include "tests/support/message_of.h"

namespace samebits {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::kBrokenSync;
using testing::kOtherRounding;
using testing::message_of;
using Failures = testing::Diagnosis;
using Kind = CaseFailure::Kind;

TEST_F(Failures, ArmsThatDifferFailTogether) {
  const EndedRun run = ended(kOtherRounding);
  const auto failure = first_failure(run.settings, run.recordings);
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->kind, Kind::kDiffers);
  EXPECT_THAT(failure->arms, ElementsAre("a", "b"));
  EXPECT_EQ(failure->value, "logprob");
  EXPECT_EQ(failure->named_operator, "");  // level `step` names none
  CaseFailure at_an_operator = *failure;
  at_an_operator.named_operator = "layers.ffn_norm";
  EXPECT_TRUE(at_an_operator.is_like(*failure));
  EXPECT_FALSE(failure->is_like(at_an_operator));
  EXPECT_FALSE(first_failure(run.settings, run.recordings, {"a"}));
}

TEST_F(Failures, AnArmWhoseSidesPartFailsByItself) {
  const EndedRun run = ended(kBrokenSync);
  const auto failure = first_failure(run.settings, run.recordings);
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->kind, Kind::kOffPolicy);
  EXPECT_THAT(failure->arms, ElementsAre("a"));
  EXPECT_EQ(failure->step, 1);
  const auto other = first_failure(run.settings, run.recordings, {"b"});
  ASSERT_TRUE(other);
  EXPECT_THAT(other->arms, ElementsAre("b"));
  EXPECT_FALSE(other->is_like(*failure));
}

// Everything behind it in the step has it too.
TEST_F(Failures, ANaNIsNamedAtTheOperatorThatHadItFirst) {
  EndedRun run = ended({});
  std::vector<Observation>& seen = run.recordings[0].ranks[0].observations;
  std::vector<Observation> first;
  for (const char* site : {"embedding#0", "layers.1.attention.wq#0", "output#0", "token#1"}) {
    first.push_back({.phase = "rollout", .site = site, .dtype = Dtype::bfloat16, .shape = {4}});
    first.back().nonfinite = first.size() > 1 ? 2 : 0;
  }
  first.push_back(testing::scalar(0, "rollout", "logprob[0,0]", std::nanf("")));
  seen.insert(seen.begin(), first.begin(), first.end());
  const auto failure = first_failure(run.settings, run.recordings, {"a"});
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->kind, Kind::kNonfinite);
  EXPECT_EQ(failure->named_operator, "layers.attention.wq");
  EXPECT_EQ(failure->value, "logprob");
  EXPECT_EQ(failure->where, "step 0, rollout, layers.1.attention.wq#0");
}

TEST_F(Failures, ArmsThatWereToDivergeAndDoNotFailByHolding) {
  const EndedRun run =
      ended({R"(relations=[{"arms": ["a", "b"], "holds": "must_diverge", "reason": "r"}])"});
  const auto failure = first_failure(run.settings, run.recordings);
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->kind, Kind::kHolds);
}

TEST_F(Failures, AGreenRunHasNone) {
  const EndedRun run = ended({});
  EXPECT_FALSE(first_failure(run.settings, run.recordings));
  EXPECT_EQ(why_no_evidence(run.settings, run.recordings), "");
}

TEST_F(Failures, ARunThatWasChangedOrWhoseModelWasIsRefused) {
  model_ = copy_of_model();
  ended({});
  flip_bit(model_ / "model.safetensors", 4000);
  EXPECT_THAT(message_of<InputError>([&] { open_ended_run(options().out); }),
              HasSubstr("which was run"));
  flip_bit(model_ / "model.safetensors", 4000);
  flip_bit(options().out / "a" / "rank-0.jsonl", 40);
  EXPECT_THROW(open_ended_run(options().out), InputError);
  std::filesystem::remove(options().out / run_files::kManifest);
  EXPECT_THAT(message_of<InputError>([&] { open_ended_run(options().out); }), HasSubstr("cut off"));
}

TEST(SiteWithoutNumbers, IsTheOperatorOrTheKind) {
  EXPECT_EQ(site_without_numbers("layers.3.attention.wo#0"), "layers.attention.wo");
  EXPECT_EQ(site_without_numbers("layers.11.ffn_norm#2"), "layers.ffn_norm");
  EXPECT_EQ(site_without_numbers("logprob[3,0]"), "logprob");
  EXPECT_EQ(site_without_numbers("loss"), "loss");
  EXPECT_EQ(site_without_numbers("layers.0.feed_forward.w1.weight"),
            "layers.feed_forward.w1.weight");
}

}  // namespace
}  // namespace samebits
