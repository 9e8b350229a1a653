#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/workload/workload.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;

Arm arm_of(Execution trainer) {
  Arm arm;
  arm.workload.kind = WorkloadKind::kGrpo;
  arm.trainer = trainer;
  return arm;
}

// Of an eager generator, and of a trainer and an optimizer with these counts.
Counters counters(int64_t trainer_calls, int64_t trainer_nodes, int64_t optimizer_calls,
                  int64_t optimizer_nodes) {
  return {{"generator.eager_calls", 1},
          {"trainer.eager_calls", trainer_calls},
          {"trainer.nodes", trainer_nodes},
          {"optimizer.eager_calls", optimizer_calls},
          {"optimizer.nodes", optimizer_nodes}};
}

TEST(WitnessTest, ACapturedTrainerNeedsACapturedOptimizer) {
  const Arm arm = arm_of(Execution::kCaptured);
  EXPECT_EQ(witness_failure(arm, counters(0, 9, 0, 9)), "");
  EXPECT_THAT(witness_failure(arm, counters(0, 9, 1, 0)),
              HasSubstr("its optimizer should run captured, but 0 nodes and 1 eager calls ran"));
  EXPECT_THAT(witness_failure(arm, counters(0, 9, 1, 9)), HasSubstr("its optimizer"));
  EXPECT_THAT(witness_failure(arm, counters(0, 9, 0, 0)), HasSubstr("its optimizer"));
  EXPECT_THAT(witness_failure(arm, counters(1, 9, 0, 9)), HasSubstr("its trainer"));
}

TEST(WitnessTest, AnEagerTrainerNeedsAnEagerOptimizer) {
  const Arm arm = arm_of(Execution::kEager);
  EXPECT_EQ(witness_failure(arm, counters(8, 0, 1, 0)), "");
  EXPECT_THAT(witness_failure(arm, counters(8, 0, 0, 9)),
              HasSubstr("its optimizer should run eager"));
  EXPECT_THAT(witness_failure(arm, counters(0, 0, 1, 0)), HasSubstr("its trainer"));
}

TEST(WitnessTest, APersistentGeneratorNeedsStages) {
  Arm arm;
  arm.workload.kind = WorkloadKind::kDecode;
  arm.generator = Execution::kPersistent;
  const auto counted = [](int64_t replays, int64_t stages) {
    return Counters{
        {"generator.eager_calls", 0}, {"generator.replays", replays}, {"generator.stages", stages}};
  };
  EXPECT_EQ(witness_failure(arm, counted(3, 36)), "");
  EXPECT_THAT(witness_failure(arm, counted(3, 0)), HasSubstr("none ran in 3 replays"));
  EXPECT_THAT(witness_failure(arm, counted(0, 36)), HasSubstr("should replay graphs"));
}

}  // namespace
}  // namespace samebits
