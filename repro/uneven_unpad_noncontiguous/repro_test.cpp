#include "repro/uneven_unpad_noncontiguous/repro.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/detect/findings.h"

namespace samebits {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// At one size only, so that the finding is of that size.
Subject at_size(Side side, int64_t size) {
  Subject subject = gathered_and_viewed(side, /*ranks=*/2);
  subject.hint = size;
  subject.sizes = {size};
  subject.dims[0].at_least = 8;
  return subject;
}

TEST(UnpaddedStride, IsThatOfThePadding) {
  EXPECT_THAT(shard_differences(at_size(Side::kBuggy, 31)),
              ElementsAre(HasSubstr("at 31: samebits_repro::gather.strided on (S(1)), result 0: "
                                    "stride (320, 10, 1), expected (310, 10, 1)")));
  EXPECT_THAT(shard_differences(at_size(Side::kFixed, 31)), IsEmpty());
}

TEST(UnpaddedStride, IsRightWhereNothingIsCut) {
  EXPECT_THAT(shard_differences(at_size(Side::kBuggy, 32)), IsEmpty());
  EXPECT_FALSE(run_subject(at_size(Side::kBuggy, 32)).went_wrong);
}

TEST(UnpaddedStride, FailsOverAnyNumberOfRanksThatDoesNotDivide) {
  for (const int64_t ranks : {2, 3, 4}) {
    EXPECT_TRUE(run_subject(gathered_and_viewed(Side::kBuggy, ranks)).went_wrong) << ranks;
    const Outcome fixed = run_subject(gathered_and_viewed(Side::kFixed, ranks));
    EXPECT_FALSE(fixed.went_wrong) << fixed.evidence;
  }
}

}  // namespace
}  // namespace samebits
