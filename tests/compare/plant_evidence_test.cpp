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

TEST(PlantEvidence, ARunThatWasCutOffMayStillComeToIt) {
  ArmRecording run = recording("a", grpo_stream(1));
  run.finished = false;
  EXPECT_EQ(evidence_of(planted(), run).plant, "");
}

}  // namespace
}  // namespace samebits
