#include "harness/compare/sync_check.h"

#include <gmock/gmock.h>

#include "tests/compare/streams.h"

namespace samebits {
namespace {

using testing::grpo_stream;
using testing::weight;

// The stream with one weight observed as `value` after (or before) a sync.
std::vector<Observation> with(std::vector<Observation> stream, int64_t step,
                              const std::string& site, float value) {
  Observation& each = stream.at(testing::at_site(stream, step, site));
  each = weight(step, site, value);
  return stream;
}

std::string fault(const std::vector<Observation>& stream) {
  return summary_text(sync_checks(stream));
}

TEST(SyncCheckTest, WholeSyncsAreCounted) {
  const std::vector<SyncCheck> syncs = sync_checks(grpo_stream(3));
  ASSERT_EQ(syncs.size(), 3u);
  for (const SyncCheck& sync : syncs) {
    EXPECT_TRUE(sync.is_whole());
    EXPECT_EQ(sync.weights, 2);
  }
  EXPECT_EQ(summary_text(syncs), "all 2 arrived in each of 3 steps");
  EXPECT_EQ(fault(grpo_stream(1)), "all 2 arrived in the one step");
}

TEST(SyncCheckTest, NoWeightIsNoSync) {
  EXPECT_TRUE(sync_checks({}).empty());
  EXPECT_EQ(summary_text({}), "");
}

TEST(SyncCheckTest, WeightThatStayedIsNamed) {
  const auto stream = with(grpo_stream(3), 2, "generator.after[output.weight]", 10 + 2);
  EXPECT_EQ(fault(stream),
            "step 2: 1 of 2 weights arrived, first output.weight, which stayed what it was in the "
            "generator");
}

TEST(SyncCheckTest, StaleWeightTellsItsStep) {
  // The generator had the weights of step 1, and is given those of step 0.
  auto stream = with(grpo_stream(3), 2, "generator.after[norm.weight]", 1);
  EXPECT_EQ(fault(stream),
            "step 2: 1 of 2 weights arrived, first norm.weight, which arrived as it was at step 0");
}

TEST(SyncCheckTest, WeightThatArrivedChangedIsNamed) {
  const auto stream = with(grpo_stream(2), 0, "generator.after[norm.weight]", 0.5f);
  EXPECT_EQ(fault(stream),
            "step 0: 1 of 2 weights arrived, first norm.weight, which arrived changed");
}

TEST(SyncCheckTest, SyncThatChangesTheTrainerIsNamed) {
  const auto stream = with(grpo_stream(2), 1, "trainer.after[norm.weight]", 0.5f);
  EXPECT_EQ(fault(stream),
            "step 1: 1 of 2 weights arrived, first norm.weight, which the sync changed in the "
            "trainer");
}

TEST(SyncCheckTest, WeightThatOneSideLacksIsNamed) {
  for (const auto& [site, fault_text] :
       {std::pair("generator.after[output.weight]", "which the generator does not have"),
        std::pair("output.weight", "which the trainer does not have")}) {
    std::vector<Observation> stream = grpo_stream(1);
    std::erase_if(stream, [&](const Observation& each) { return each.site == site; });
    EXPECT_EQ(fault(stream),
              std::string("step 0: 1 of 2 weights arrived, first output.weight, ") + fault_text);
  }
}

TEST(SyncCheckTest, TrainerThatWasNotSeenAfterTheSyncIsNoEvidence) {
  std::vector<Observation> stream = grpo_stream(1);
  std::erase_if(stream, [](const Observation& each) { return each.site.starts_with("trainer."); });
  EXPECT_FALSE(sync_checks(stream)[0].is_whole());
}

}  // namespace
}  // namespace samebits
