#include "harness/run/plant_faults.h"

#include <gmock/gmock.h>

#include "harness/base/error.h"
#include "tests/run/support.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;
using testing::message_of;
using PlantFaults = testing::Run;

int64_t count_of(const ReportRecord& record, FaultOutcome outcome) {
  return std::count_if(record.planted.begin(), record.planted.end(),
                       [&](const PlantedFault& each) { return each.outcome == outcome; });
}

RunOptions planting(RunOptions options, int64_t count) {
  options.plant = {count, 5};
  return options;
}

TEST_F(PlantFaults, FaultsOfTheTrainerAreCaughtAndLocalised) {
  const ReportRecord record = run(small_case({R"(b.trainer="captured")"}), planting(options(), 24));
  EXPECT_TRUE(record.holds) << record.headline;
  ASSERT_EQ(record.planted.size(), 24U);
  EXPECT_EQ(count_of(record, FaultOutcome::kNotExecuted), 0);
  EXPECT_GT(count_of(record, FaultOutcome::kCaught), 5);
  EXPECT_GT(std::count_if(record.planted.begin(), record.planted.end(),
                          [](const PlantedFault& each) { return each.is_exact; }),
            5);
  EXPECT_THAT(record.headline, HasSubstr("24 faults planted: 24 executed"));
  EXPECT_EQ(read_planted(options().out).size(), 24U);
}

// The same faults under a comparison that is blind: nothing but the arms' own evidence is left.
TEST_F(PlantFaults, BlindComparisonLetsFaultsEscape) {
  Case blind = small_case({R"(on_policy={"holds":"none","reason":"blinded"})"});
  Relation& relation = blind.relations[0];
  relation.holds = Holds::kAllclose;
  relation.rtol = 1e9;
  relation.atol = 1e9;
  relation.tensors = TensorRule::kNotCompared;
  const ReportRecord record = run(blind, planting(options(), 24));
  EXPECT_FALSE(record.holds);
  EXPECT_GT(count_of(record, FaultOutcome::kEscaped), 5);
  ASSERT_EQ(record.failures.size(), 1U);
  EXPECT_THAT(record.failures[0].title, HasSubstr("of 24 planted faults escaped the verdict"));
  EXPECT_THAT(record.failures[0].next.at(0), HasSubstr("--set "));
}

TEST_F(PlantFaults, AFaultIsPlantedAgainAlone) {
  const ReportRecord record = run(small_case(), planting(options(), 24));
  for (const PlantedFault& each : record.planted) {
    if (!each.is_exact) continue;
    Case alone = small_case();
    for (CaseArm& arm : alone.arms) {
      if (arm.name == each.arm) arm.plant = each.fault;
    }
    const ReportRecord again = run(alone, options(Existing::kReplace));
    EXPECT_FALSE(again.holds);
    EXPECT_EQ(again.failures.front().title, each.text);
    return;
  }
  ADD_FAILURE() << "no fault was localised";
}

TEST_F(PlantFaults, ARunWithoutAComparisonIsRefused) {
  Case c = small_case();
  c.relations.clear();
  EXPECT_THAT(message_of<InputError>([&] { run(c, planting(options(), 1)); }),
              HasSubstr("--plant: found no arm of this process that a relation compares"));
}

TEST_F(PlantFaults, NothingIsPlantedIntoARunThatFails) {
  const ReportRecord record =
      run(small_case({"b.numerics.fused_rounding=true"}), planting(options(), 3));
  EXPECT_FALSE(record.holds);
  EXPECT_TRUE(record.planted.empty());
}

}  // namespace
}  // namespace samebits
