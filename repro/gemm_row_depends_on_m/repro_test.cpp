#include "repro/gemm_row_depends_on_m/repro.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/detect/findings.h"

namespace samebits {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// What a request sees that was alone and is joined by one other.
TEST(GemmRows, OneRowAloneIsNotThatRowOfTwo) {
  const auto found = rows_that_depend_on_others(rows_times_weight(Gemm::kLibTorch, 1000, {1, 2}));
  EXPECT_THAT(found, testing::ElementsAre("row 0 of 1 is not row 0 of 2 to the bit"));
}

TEST(GemmRows, OfTheInvariantProductAreTheSameAtAnyWidth) {
  for (const int64_t width : {1, 31, 64, 1000}) {
    EXPECT_THAT(rows_that_depend_on_others(rows_times_weight(Gemm::kInvariant, width, {1, 2, 33})),
                IsEmpty())
        << width;
  }
}

}  // namespace
}  // namespace samebits
