#include "harness/compare/verdict.h"

#include <gmock/gmock.h>

#include <limits>

#include "harness/base/error.h"
#include "tests/compare/streams.h"
#include "tests/support/scratch.h"

namespace samebits {
namespace {

using testing::grpo_stream;
using ::testing::HasSubstr;
using testing::message_of;
using testing::nudged;
using testing::recording;

Relation relation(std::vector<std::string> arms, Holds holds) {
  return {.arms = std::move(arms), .holds = holds, .reason = ""};
}

TEST(Verdict, ThreeEqualArmsHold) {
  const Verdict verdict =
      judge_relation(relation({"a", "b", "c"}, Holds::kBitExact),
                     {recording("c", grpo_stream(3)), recording("a", grpo_stream(3)),
                      recording("b", grpo_stream(3))});
  EXPECT_TRUE(verdict.holds);
  EXPECT_EQ(verdict.pairs.size(), 2u);
  EXPECT_EQ(verdict.text(), "a, b and c are equal to the bit");
}

TEST(Verdict, OneBitInTheThirdArmFailsAndIsNamed) {
  const Verdict verdict =
      judge_relation(relation({"a", "b", "c"}, Holds::kBitExact),
                     {recording("a", grpo_stream(3)), recording("b", grpo_stream(3)),
                      recording("c", nudged(grpo_stream(3), 1, "loss"))});
  EXPECT_FALSE(verdict.holds);
  EXPECT_THAT(verdict.text(), HasSubstr("a and c diverge at step 1, train, loss: 9.9"));
  EXPECT_THAT(verdict.text(), HasSubstr("1 ULP (1 of 72 observations differ)"));
  EXPECT_THAT(json_from_verdict(verdict).dump(), HasSubstr("\"first_different_step\":1"));
}

TEST(Verdict, ControlThatDivergesHoldsWithItsDistance) {
  const Verdict verdict = judge_relation(
      relation({"a", "b"}, Holds::kMustDiverge),
      {recording("a", grpo_stream(3)), recording("b", nudged(grpo_stream(3), 1, "loss", 7))});
  EXPECT_TRUE(verdict.holds);
  EXPECT_EQ(verdict.text(), "b differs from a from step 1 on, losses by up to 7 ULP");
}

TEST(Verdict, ControlThatDoesNotDivergeFails) {
  const Verdict verdict =
      judge_relation(relation({"a", "b"}, Holds::kMustDiverge),
                     {recording("a", grpo_stream(3)), recording("b", grpo_stream(3))});
  EXPECT_FALSE(verdict.holds);
  EXPECT_THAT(verdict.text(), HasSubstr("are equal to the bit"));
}

TEST(Verdict, ControlThatWasCutOffProvesNothing) {
  EXPECT_FALSE(judge_relation(relation({"a", "b"}, Holds::kMustDiverge),
                              {recording("a", grpo_stream(3)), recording("b", grpo_stream(2))})
                   .holds);
}

TEST(Verdict, RelationAboutNothingFails) {
  for (const Holds holds : {Holds::kBitExact, Holds::kMustDiverge}) {
    const Verdict verdict =
        judge_relation(relation({"a", "b"}, holds), {recording("a", {}), recording("b", {})});
    EXPECT_FALSE(verdict.holds);
    EXPECT_THAT(verdict.text(), HasSubstr("no observation in common"));
  }
}

TEST(Verdict, BoundFailsOfATensorThatItCannotJudgeUnlessTheRelationSaysNotToCompareIt) {
  const float zeros[2] = {0, 0};
  const float thousands[2] = {1000, 1000};
  const auto with_weight = [](const float* data) {
    std::vector<Observation> stream = grpo_stream(3);
    stream.push_back(observe_tensor(2, "optimizer", 0, "weight", Dtype::float32, {2}, data));
    return stream;
  };
  Relation close = relation({"a", "b"}, Holds::kAllclose);
  const std::vector<ArmRecording> arms = {recording("a", with_weight(zeros)),
                                          recording("b", with_weight(thousands))};
  EXPECT_FALSE(judge_relation(close, arms).holds);
  close.tensors = TensorRule::kNotCompared;
  const Verdict verdict = judge_relation(close, arms);
  EXPECT_TRUE(verdict.holds);
  EXPECT_EQ(verdict.pairs[0].comparison.compared, 72);
  EXPECT_THAT(verdict.text(), HasSubstr("(1 tensors whose digests differ were not compared)"));
}

TEST(Verdict, NanInBothArmsIsNoAgreement) {
  std::vector<Observation> stream = grpo_stream(3);
  Observation& loss = stream.at(testing::at_site(stream, 2, "loss"));
  loss = testing::scalar(2, "train", "loss", std::numeric_limits<float>::quiet_NaN());
  const std::vector<ArmRecording> arms = {recording("a", stream), recording("b", stream)};
  const Verdict verdict = judge_relation(relation({"a", "b"}, Holds::kBitExact), arms);
  EXPECT_FALSE(verdict.holds);
  EXPECT_THAT(verdict.text(), HasSubstr("a and b agree in nothing at step 2, train, loss"));
  const RulesOfPair accept = [](const std::string&, const std::string&) {
    return PairRules{.nonfinite = Nonfinite::kAccept};
  };
  EXPECT_TRUE(judge_relation(relation({"a", "b"}, Holds::kBitExact), arms, accept).holds);
}

TEST(Verdict, ArmWithoutARecordingIsRefused) {
  EXPECT_THAT(
      message_of<InputError>([] {
        judge_relation(relation({"a", "b"}, Holds::kBitExact), {recording("a", grpo_stream(1))});
      }),
      HasSubstr("arm b"));
}

}  // namespace
}  // namespace samebits
