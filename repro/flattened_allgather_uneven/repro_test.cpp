#include "repro/flattened_allgather_uneven/repro.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/detect/findings.h"
#include "harness/detect/sharded.h"

namespace samebits {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

// The first number of every row, of [5, 3] from 1; 0 is padding.
std::vector<float> rows_of_five(Side side) {
  const Subject subject = over_two_by_two(side);
  const at::Tensor first = whole_of(subject.program(subject.inputs(5))[0]).select(1, 0);
  const at::Tensor rows = first.contiguous();
  return {rows.const_data_ptr<float>(), rows.const_data_ptr<float>() + rows.numel()};
}

TEST(FlatGather, HasPaddingInsideAndLosesTheLastRow) {
  EXPECT_THAT(rows_of_five(Side::kBuggy), ElementsAre(1, 4, 7, 0, 10));
  EXPECT_THAT(rows_of_five(Side::kFixed), ElementsAre(1, 4, 7, 10, 13));
}

TEST(FlatGather, IsRightWhereBothSplitsAgree) {
  std::vector<int64_t> wrong;
  for (int64_t size = 0; size <= 9; ++size) {
    Subject subject = over_two_by_two(Side::kBuggy);
    subject.hint = size;
    subject.sizes = {size};
    if (run_sharded(subject).went_wrong) wrong.push_back(size);
  }
  EXPECT_THAT(wrong, ElementsAre(2, 5, 6, 9));
}

TEST(FlatGather, IsFoundInEveryPlacementOfItsArgument) {
  const std::vector<std::string> found = shard_differences(over_two_by_two(Side::kBuggy));
  for (const char* placement : {"(R)", "(S(0))", "(S(1))"}) {
    EXPECT_THAT(found, Contains(HasSubstr(placement)));
  }
}

}  // namespace
}  // namespace samebits
