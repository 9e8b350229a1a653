#include "repro/view_split_flatten_no_redistribute/repro.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/detect/findings.h"
#include "harness/detect/sharded.h"

namespace samebits {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

struct View {
  const char* name;
  int64_t ranks;
  std::vector<int64_t> in;
  std::vector<int64_t> out;
  const char* misplaced;
};

class InterleavedViewTest : public testing::TestWithParam<View> {};

TEST_P(InterleavedViewTest, MisplacesWhatUpstreamDoes) {
  const auto& [name, ranks, in, out, misplaced] = GetParam();
  EXPECT_THAT(run_sharded(viewed(Side::kBuggy, ranks, in, out)).evidence, HasSubstr(misplaced));
  const Outcome fixed = run_sharded(viewed(Side::kFixed, ranks, in, out));
  EXPECT_FALSE(fixed.went_wrong) << fixed.evidence;
}

TEST_P(InterleavedViewTest, IsFoundByTheShardDifferential) {
  const auto& [name, ranks, in, out, misplaced] = GetParam();
  EXPECT_THAT(shard_differences(viewed(Side::kBuggy, ranks, in, out)),
              Contains(AllOf(HasSubstr("view.relabelled on (S(1))"), HasSubstr(misplaced))));
  EXPECT_THAT(shard_differences(viewed(Side::kFixed, ranks, in, out)), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
    Views, InterleavedViewTest,
    testing::Values(View{"four_ranks", 4, {12, 8}, {16, 6}, "92 of 96 differ"},
                    View{"two_ranks", 2, {12, 8}, {16, 6}, "88 of 96 differ"},
                    View{"three_dims", 2, {4, 4, 4}, {8, 8}, "48 of 64 differ"}),
    [](const auto& info) { return info.param.name; });

// Three ranks have 3, 3 and 2 columns: no view of them is a part of the result, and both rules
// gather.
TEST(InterleavedView, NeedsShardsOfOneSize) {
  EXPECT_FALSE(run_sharded(viewed(Side::kBuggy, /*ranks=*/3, {12, 8}, {16, 6})).went_wrong);
}

}  // namespace
}  // namespace samebits
