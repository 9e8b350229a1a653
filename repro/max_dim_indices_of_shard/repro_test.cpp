#include "repro/max_dim_indices_of_shard/repro.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "harness/detect/findings.h"
#include "harness/detect/sharded.h"

namespace samebits {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// The first element that a subject gives at a size, over ranks.
double value_at(const Subject& subject, int64_t size) {
  return whole_of(subject.program(subject.inputs(size))[0]).view({-1})[0].item<double>();
}

TEST(ReducedParts, GiveTheValuesOfUpstream) {
  EXPECT_EQ(value_at(argmax_of_rows(Side::kBuggy), 4), 1);
  EXPECT_EQ(value_at(mean_of_all(Side::kBuggy), 3), 6.5);
  EXPECT_TRUE(std::isnan(value_at(mean_of_all(Side::kBuggy), 1)));
  EXPECT_EQ(value_at(sum_plus_ten(Side::kBuggy), 10), 65);
}

TEST(ReducedParts, AreRightWhereTheyAreGatheredFirst) {
  EXPECT_EQ(value_at(argmax_of_rows(Side::kFixed), 4), 0);
  EXPECT_EQ(value_at(mean_of_all(Side::kFixed), 3), 5.5);
  EXPECT_EQ(value_at(mean_of_all(Side::kFixed), 1), 1.5);
  EXPECT_EQ(value_at(sum_plus_ten(Side::kFixed), 10), 55);
}

TEST(ReducedParts, OfEvenShardsHideTheMean) {
  EXPECT_EQ(value_at(mean_of_all(Side::kBuggy), 4), value_at(mean_of_all(Side::kFixed), 4));
}

struct NotLinear {
  const char* name;
  Subject (*subject)(Side side);
};

class NotLinearTest : public testing::TestWithParam<NotLinear> {};

TEST_P(NotLinearTest, IsFoundByTheShardDifferential) {
  EXPECT_THAT(shard_differences(GetParam().subject(Side::kBuggy)),
              ElementsAre(HasSubstr(".of_parts on (")));
  EXPECT_THAT(shard_differences(GetParam().subject(Side::kFixed)), IsEmpty());
  EXPECT_FALSE(run_sharded(GetParam().subject(Side::kFixed)).went_wrong);
}

INSTANTIATE_TEST_SUITE_P(Operators, NotLinearTest,
                         testing::Values(NotLinear{"argmax", argmax_of_rows},
                                         NotLinear{"mean", mean_of_all},
                                         NotLinear{"plus", sum_plus_ten}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace samebits
