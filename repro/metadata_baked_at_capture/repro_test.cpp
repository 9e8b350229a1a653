#include "repro/metadata_baked_at_capture/repro.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/detect/findings.h"
#include "harness/kernels/device.h"

namespace samebits {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class BakedMetadataTest : public testing::TestWithParam<c10::DeviceType> {
 protected:
  void SetUp() override {
    if (const std::string reason = why_no_cuda(); GetParam() == c10::kCUDA && !reason.empty()) {
      GTEST_SKIP() << reason;
    }
  }
  static Subject subject(PlannedLengths lengths) { return decode_at_length(lengths, GetParam()); }
};

// The graph reads the same memory at every length, so only the values tell.
TEST_P(BakedMetadataTest, APlanOfTheWarmUpAndANumberOfTheHostAreFoundByTheirValues) {
  for (const PlannedLengths lengths : {PlannedLengths::kOnceAStep, PlannedLengths::kOfTheHost}) {
    EXPECT_THAT(moved_addresses(subject(lengths)),
                ElementsAre("captured at 4, replayed at 9: output 0 has other bits than eager's"));
  }
}

TEST_P(BakedMetadataTest, APlanThatIsCapturedFollowsTheLength) {
  const Outcome outcome = run_replayed(subject(PlannedLengths::kEachForward));
  EXPECT_FALSE(outcome.went_wrong) << outcome.evidence;
  EXPECT_THAT(moved_addresses(subject(PlannedLengths::kEachForward)), IsEmpty());
}

// At the length of capture nothing is wrong, so a test that replays what it captured passes.
TEST_P(BakedMetadataTest, DoesNotShowAtTheLengthOfCapture) {
  Subject same = subject(PlannedLengths::kOnceAStep);
  same.sizes = {same.hint};
  EXPECT_FALSE(run_replayed(same).went_wrong);
}

INSTANTIATE_TEST_SUITE_P(Devices, BakedMetadataTest, testing::Values(c10::kCPU, c10::kCUDA),
                         [](const auto& info) { return c10::DeviceTypeName(info.param); });

}  // namespace
}  // namespace samebits
