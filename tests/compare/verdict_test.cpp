#include "harness/compare/verdict.h"

#include <gmock/gmock.h>

#include "harness/core/error.h"
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
  return {std::move(arms), holds, 0, 0, 0, ""};
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
  EXPECT_THAT(verdict.text(), HasSubstr("a and c part at step 1, train, loss: 9.9"));
  EXPECT_THAT(verdict.text(), HasSubstr("1 ULP (1 of 36 observations differ)"));
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

TEST(Verdict, ArmWithoutARecordingIsRefused) {
  EXPECT_THAT(
      message_of<InputError>([] {
        judge_relation(relation({"a", "b"}, Holds::kBitExact), {recording("a", grpo_stream(1))});
      }),
      HasSubstr("arm b"));
}

}  // namespace
}  // namespace samebits
