#include <gmock/gmock.h>

#include "harness/compare/evidence.h"
#include "harness/compare/verdict.h"
#include "tests/compare/streams.h"

namespace samebits {
namespace {

using testing::arm_of;
using ::testing::HasSubstr;
using testing::nudged;
using testing::recording;
using testing::scalar;

std::vector<Observation> losses(int64_t steps) {
  std::vector<Observation> stream;
  for (int64_t step = 0; step < steps; ++step) {
    stream.push_back(scalar(step, "train", "loss", 1.5f + static_cast<float>(step)));
  }
  return stream;
}

CaseArm told_steps() { return arm_of(R"("command": ["x", "{out}", "{steps}"], "steps": 2)"); }

TEST(ProgramEvidence, IsWhatItObserved) {
  EXPECT_EQ(evidence_of(told_steps(), recording("a", losses(2))).first(), "");
  const CaseArm free = arm_of(R"("command": ["x", "{out}"], "steps": 2)");
  EXPECT_EQ(evidence_of(free, recording("a", losses(5))).first(), "");
}

TEST(ProgramEvidence, ProgramsThatObservedLessAreNone) {
  EXPECT_THAT(evidence_of(told_steps(), recording("a", losses(1))).damage,
              HasSubstr("1 steps, not the 2"));
  EXPECT_THAT(evidence_of(told_steps(), recording("a", losses(3))).damage,
              HasSubstr("3 steps, not the 2"));
  EXPECT_THAT(evidence_of(told_steps(), recording("a", {})).damage, HasSubstr("no observation"));
}

TEST(ProgramEvidence, EveryRunMustBeThereAndTheSame) {
  const CaseArm arm = arm_of(R"("command": ["x", "{out}"], "repeat": 3)");
  ArmRecording recorded = recording("a", losses(2));
  recorded.repeats = {recorded.ranks};
  EXPECT_THAT(evidence_of(arm, recorded).damage, HasSubstr("2 of 3 runs"));
  recorded.repeats.push_back(recorded.ranks);
  EXPECT_EQ(evidence_of(arm, recorded).first(), "");
  recorded.repeats[1][0].observations = nudged(losses(2), 1, "loss");
  EXPECT_THAT(evidence_of(arm, recorded).itself,
              HasSubstr("runs 1 and 3 differ at step 1, train, loss"));
  recorded.repeats[1].clear();
  EXPECT_THAT(evidence_of(arm, recorded).itself, HasSubstr("streams of 1 and 0 ranks"));
}

TEST(ProgramEvidence, ANanIsNone) {
  std::vector<Observation> stream = losses(2);
  stream[1] = scalar(1, "train", "loss", std::nanf(""));
  EXPECT_THAT(evidence_of(told_steps(), recording("a", stream)).nonfinite, HasSubstr("step 1"));
}

// Shards of a program's ranks are no copies of each other.
TEST(ProgramEvidence, RanksThatNothingAnswersToFailARelation) {
  ArmRecording one = recording("a", losses(2));
  ArmRecording two = recording("b", losses(2));
  Relation relation;
  relation.arms = {"a", "b"};
  EXPECT_TRUE(judge_relation(relation, {one, two}).holds);
  std::vector<Observation> shard = nudged(losses(2), 0, "loss");
  for (Observation& each : shard) each.rank = 1;
  two.ranks.push_back({shard, 0, 0});
  const Verdict verdict = judge_relation(relation, {one, two});
  EXPECT_FALSE(verdict.holds);
  EXPECT_THAT(verdict.text(), HasSubstr("unequal numbers of ranks"));
}

}  // namespace
}  // namespace samebits
