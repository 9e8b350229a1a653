#include "repro/dtensor_reduce_all_keepdim/repro.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "harness/detect/findings.h"
#include "harness/detect/sharded.h"

namespace samebits {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

at::Tensor whole_at(const Subject& subject, int64_t size) {
  return whole_of(subject.program(subject.inputs(size))[0]);
}

TEST(ReducedToOne, IsWhatTheFirstRankHas) {
  EXPECT_EQ(whole_at(largest_kept(Side::kBuggy), 4).item<float>(), 4);
  EXPECT_EQ(whole_at(sum_kept(Side::kBuggy), 4).item<float>(), 10);
}

// The first rank has none of the largest: each number is divided by no count.
TEST(ReducedToOne, GivesTheGradientSevenNansAndAnInfinity) {
  const at::Tensor gradient = whole_at(gradient_of_largest(Side::kBuggy), 4);
  EXPECT_EQ(gradient.isnan().sum().item<int64_t>(), 7);
  EXPECT_TRUE(gradient[3][1].isinf().item<bool>());
}

TEST(ReducedToOne, IsOfAllWhereAnEmptyListNamesAll) {
  EXPECT_EQ(whole_at(largest_kept(Side::kFixed), 4).item<float>(), 8);
  EXPECT_EQ(whole_at(sum_kept(Side::kFixed), 4).item<float>(), 36);
  at::Tensor last = at::zeros({4, 2});
  last[3][1] = 1;
  EXPECT_TRUE(at::equal(whole_at(gradient_of_largest(Side::kFixed), 4), last));
}

// One row lies on one rank.
TEST(ReducedToOne, IsRightWhereTheFirstRankHasAll) {
  EXPECT_EQ(whole_at(sum_kept(Side::kBuggy), 1).item<float>(), 3);
}

struct OfAll {
  const char* name;
  Subject (*subject)(Side side);
  std::string op;
};

class OfAllTest : public testing::TestWithParam<OfAll> {};

TEST_P(OfAllTest, IsFoundByTheShardDifferential) {
  const auto& [name, subject, op] = GetParam();
  EXPECT_THAT(shard_differences(subject(Side::kBuggy)),
              UnorderedElementsAre(HasSubstr(op + ".of_none on (S(0))"),
                                   HasSubstr(op + ".of_none on (S(1))")));
  EXPECT_THAT(shard_differences(subject(Side::kFixed)), IsEmpty());
  EXPECT_FALSE(run_sharded(subject(Side::kFixed)).went_wrong);
}

INSTANTIATE_TEST_SUITE_P(Reductions, OfAllTest,
                         testing::Values(OfAll{"amax", largest_kept, "amax"},
                                         OfAll{"sum", sum_kept, "sum"},
                                         OfAll{"gradient", gradient_of_largest, "sum"}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace samebits
