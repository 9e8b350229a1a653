#include "repro/split_kv_depends_on_batch/repro.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/detect/findings.h"

namespace samebits {
namespace {

using testing::IsEmpty;
using testing::Not;

DecodeShape of_keys(int64_t keys) { return {keys, /*heads=*/4, /*dim=*/32, {1, 2, 33}}; }

// Keys of one block cannot be cut, so short contexts pass.
TEST(SplitKv, OnlyAContextOfSeveralBlocksShowsIt) {
  EXPECT_THAT(rows_that_depend_on_others(decode_over_splits(KvSplits::kByOccupancy, of_keys(128))),
              IsEmpty());
  EXPECT_THAT(rows_that_depend_on_others(decode_over_splits(KvSplits::kByOccupancy, of_keys(2048))),
              Not(IsEmpty()));
}

// However it is cut, it is attention: what differs is rounding.
TEST(SplitKv, EveryCutIsAttention) {
  const auto outputs = [](KvSplits splits) {
    const Subject subject = decode_over_splits(splits, of_keys(2048));
    return subject.program(subject.inputs(1))[0].to(at::kFloat);
  };
  EXPECT_TRUE(at::allclose(outputs(KvSplits::kByOccupancy), outputs(KvSplits::kOfOneSize),
                           /*rtol=*/1e-2, /*atol=*/1e-3));
}

}  // namespace
}  // namespace samebits
