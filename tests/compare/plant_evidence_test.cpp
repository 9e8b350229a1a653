#include <gmock/gmock.h>

#include "harness/compare/evidence.h"
#include "tests/compare/streams.h"

namespace samebits {
namespace {

using testing::arm_of;
using testing::grpo_stream;
using testing::recording;

CaseArm planted() {
  return arm_of(R"("plant": {"kind": "flip", "op": "samebits::linear", "step": 1,
                             "phase": "train", "call": 99})");
}

// Whoever plants a fault and sees the run hold would believe that it went unnoticed.
TEST(PlantEvidence, AFaultThatNoStepExecutedIsSaid) {
  ArmRecording run = recording("a", grpo_stream(2));
  run.steps.resize(2);
  EXPECT_EQ(evidence_of(arm_of(""), run).plant, "");
  EXPECT_EQ(evidence_of(planted(), run).plant,
            "no step came to call 99 of samebits::linear, step 1, train");
  run.steps[1].planted = FaultWitness{.caller = "samebits::linear", .changed = 1};
  EXPECT_EQ(evidence_of(planted(), run).plant, "");
}

TEST(PlantEvidence, AnotherRankMayHaveExecutedIt) {
  ArmRecording run = recording("a", grpo_stream(2));
  run.steps.resize(2);
  run.steps_of_others = {run.steps};
  EXPECT_NE(evidence_of(planted(), run).plant, "");
  run.steps_of_others[0][1].planted = FaultWitness{.caller = "samebits::linear", .changed = 1};
  EXPECT_EQ(evidence_of(planted(), run).plant, "");
}

// Whether or not it moved a value.
TEST(PlantEvidence, AGraphThatRanWhereAKeptGuardIsFalseIsSaid) {
  ArmRecording run = recording("a", grpo_stream(1));
  run.steps.resize(1);
  run.guards = {{"s0 != 1", "s0=4", 2, {{"s0=1", 1, 0}}}};
  EXPECT_EQ(evidence_of(arm_of(R"("generator": "captured")"), run).guards, "");
  run.guards[0].false_at[0].served = 1;
  EXPECT_EQ(evidence_of(arm_of(R"("generator": "captured")"), run).guards,
            "a graph ran where its guard is false: s0 != 1 at s0=1");
  EXPECT_EQ(evidence_of(arm_of(R"("generator": "captured", "guards": "drop")"), run).guards, "");
}

TEST(PlantEvidence, ARunThatWasCutOffMayStillComeToIt) {
  ArmRecording run = recording("a", grpo_stream(1));
  run.finished = false;
  EXPECT_EQ(evidence_of(planted(), run).plant, "");
}

}  // namespace
}  // namespace samebits
