#include "repro/dtensor_logsumexp_keepdim/repro.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/detect/findings.h"
#include "harness/detect/sharded.h"
#include "harness/dtensor/dtensor.h"

namespace samebits {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

at::Tensor whole_at(Side side, int64_t rows) {
  const Subject subject = minus_logsumexp(side);
  return whole_of(subject.program(subject.inputs(rows))[0]);
}

// Each rank takes one of the two columns that the first has, and stretches it over its own two.
TEST(KeptLogsumexp, OfTheFirstRankIsStretchedOverAllColumns) {
  const at::Tensor off = whole_at(Side::kBuggy, 3) - whole_at(Side::kFixed, 3);
  EXPECT_TRUE(at::equal(off, at::tensor({0.F, 100.F, 100.F, 200.F}).expand({3, 4})));
}

TEST(KeptLogsumexp, IsFoundByTheShardDifferential) {
  EXPECT_THAT(shard_differences(minus_logsumexp(Side::kBuggy)),
              ElementsAre(HasSubstr("logsumexp.forgets_keepdim on (S(1)), result 0: "
                                    "gathered sizes [1, 2], expected [1, 4]")));
  EXPECT_THAT(shard_differences(minus_logsumexp(Side::kFixed)), IsEmpty());
}

// Rows are gathered first, and then no dimension of the result is sharded.
TEST(KeptLogsumexp, IsRightWhereTheReducedDimensionIsSharded) {
  const Subject subject = minus_logsumexp(Side::kBuggy);
  const at::Tensor whole = whole_of(subject.inputs(3)[0]);
  const at::Tensor rows = distribute_tensor(whole, make_local_mesh(2), Placement::shard(0));
  EXPECT_TRUE(at::equal(whole_of(subject.program({rows})[0]), subject.program({whole})[0]));
}

}  // namespace
}  // namespace samebits
