#include "repro/inductor_arange_unwritten/repro.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/detect/findings.h"

namespace samebits {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

at::Tensor hashed(IndexOverflow overflow, int64_t size) {
  const Subject subject = hashed_positions(overflow);
  return subject.program(subject.inputs(size))[0];
}

// The reference is not of this folder alone: ATen's own product has its bits.
TEST(ArangeTimesGolden, WrappedIsWhatEagerMultiplies) {
  const at::Tensor eager = at::arange(64, at::kLong).mul(-7046029254386353131).add(42);
  EXPECT_TRUE(at::equal(hashed(IndexOverflow::kWraps, 64), eager));
}

class UnwrittenTest : public testing::TestWithParam<int64_t> {};

TEST_P(UnwrittenTest, BeginsAfterTheFirstStepOfTheLoop) {
  const int64_t size = GetParam();
  const at::Tensor wrong =
      hashed(IndexOverflow::kUndefined, size).ne(hashed(IndexOverflow::kWraps, size)).nonzero();
  EXPECT_EQ(wrong.numel(), std::max<int64_t>(size - 16, 0));
  if (wrong.numel() > 0) {
    EXPECT_EQ(wrong[0].item<int64_t>(), 16);
  }
}

INSTANTIATE_TEST_SUITE_P(Lengths, UnwrittenTest, testing::Values(1, 15, 16, 17, 32, 64));

TEST(ArangeTimesGolden, IsFoundWhereTheProductsGoIn) {
  EXPECT_THAT(boundary_changes(hashed_positions(IndexOverflow::kUndefined)),
              ElementsAre(HasSubstr("aten::add.Tensor: other is Long, in the reference Long, with "
                                    "other values")));
  EXPECT_THAT(boundary_changes(hashed_positions(IndexOverflow::kWraps)), IsEmpty());
}

}  // namespace
}  // namespace samebits
