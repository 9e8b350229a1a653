#include "repro/rope_cache_grow_in_forward/repro.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/detect/findings.h"
#include "harness/kernels/device.h"

namespace samebits {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(RopeCache, AReadInForwardIsRefusedByTraceAndCapture) {
  EXPECT_THAT(uncapturable(rope_with_table(TableGrowth::kInForward)),
              ElementsAre(HasSubstr("operator aten::item returns Scalar")));
  EXPECT_THAT(run_replayed(rope_with_table(TableGrowth::kInForward)).evidence,
              HasSubstr("captured at 16: aten::max: "));  // of which the read is made
  EXPECT_THAT(uncapturable(rope_with_table(TableGrowth::kNever)), IsEmpty());
  EXPECT_FALSE(run_replayed(rope_with_table(TableGrowth::kNever)).went_wrong);
}

// With the read moved out of forward everything is captured, and the old table with it.
TEST(RopeCache, AGraphKeepsTheAddressOfATableThatWasReplaced) {
  EXPECT_THAT(uncapturable(rope_with_table(TableGrowth::kBeforeForward)), IsEmpty());
  EXPECT_THAT(
      moved_addresses(rope_with_table(TableGrowth::kBeforeForward)),
      ElementsAre(AllOf(HasSubstr("captured at 16, replayed after a call at 17: the graph: "
                                  "the Float [16, 4] that samebits::rope takes was freed"))));
  EXPECT_THAT(moved_addresses(rope_with_table(TableGrowth::kNever)), IsEmpty());
}

// CUDA graphs are watched as their emulation is.
TEST(RopeCache, ACardRefusesToReplayWithATableThatWasReplaced) {
  if (const std::string reason = why_no_cuda(); !reason.empty()) GTEST_SKIP() << reason;
  EXPECT_THAT(run_replayed(rope_with_table(TableGrowth::kBeforeForward, c10::kCUDA)).evidence,
              HasSubstr("captured at 16, replayed after a call at 17: the graph: the Float [16, 4] "
                        "that samebits::rope takes was freed"));
}

// A traced graph owns the old table: nothing is freed, and the rows that it lacks are missing.
TEST(RopeCache, ATracedGraphKeepsTheOldTable) {
  const Outcome outcome = run_subject(rope_with_table(TableGrowth::kBeforeForward));
  EXPECT_THAT(outcome.evidence, HasSubstr("served at 17: "));
  EXPECT_THAT(outcome.evidence, HasSubstr("position 16"));
}

}  // namespace
}  // namespace samebits
