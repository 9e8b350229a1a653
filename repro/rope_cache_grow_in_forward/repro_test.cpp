#include "repro/rope_cache_grow_in_forward/repro.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/graph/emulated_pool.h"
#include "harness/graph/static_graph.h"
#include "repro/detect/findings.h"

namespace samebits {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// What a capture of the emulated CUDA graph says at the hint.
std::string capture_error(const Subject& subject) {
  try {
    StaticGraph("g", std::make_shared<EmulatedPool>(std::make_shared<Arena>(size_t{1} << 24)),
                subject.program, subject.inputs(subject.hint));
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
  return "";
}

TEST(RopeCache, AReadInForwardIsRefusedByTraceAndCapture) {
  EXPECT_THAT(uncapturable(rope_with_table(TableGrowth::kInForward)),
              ElementsAre(HasSubstr("operator aten::item returns Scalar")));
  EXPECT_THAT(capture_error(rope_with_table(TableGrowth::kInForward)),
              HasSubstr("aten::max"));  // of which the read is made
  EXPECT_THAT(uncapturable(rope_with_table(TableGrowth::kNever)), IsEmpty());
  EXPECT_EQ(capture_error(rope_with_table(TableGrowth::kNever)), "");
}

// With the read moved out of forward everything is captured, and the old table with it.
TEST(RopeCache, AGraphKeepsTheAddressOfATableThatWasReplaced) {
  const Subject subject = rope_with_table(TableGrowth::kBeforeForward);
  EXPECT_THAT(uncapturable(subject), IsEmpty());
  EXPECT_EQ(capture_error(subject), "");
  EXPECT_THAT(
      moved_addresses(subject),
      ElementsAre(AllOf(HasSubstr("captured at 16, replayed after a call at 17: the graph: "
                                  "the Float [16, 4] that samebits::rope takes was freed"))));
  EXPECT_THAT(moved_addresses(rope_with_table(TableGrowth::kNever)), IsEmpty());
}

// A traced graph owns the old table: nothing is freed, and the rows that it lacks are missing.
TEST(RopeCache, ATracedGraphKeepsTheOldTable) {
  const Outcome outcome = run_subject(rope_with_table(TableGrowth::kBeforeForward));
  EXPECT_THAT(outcome.evidence, HasSubstr("served at 17: "));
  EXPECT_THAT(outcome.evidence, HasSubstr("position 16"));
}

}  // namespace
}  // namespace samebits
