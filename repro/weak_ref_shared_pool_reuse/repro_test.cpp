#include "repro/weak_ref_shared_pool_reuse/repro.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/detect/findings.h"
#include "harness/detect/model_subject.h"
#include "harness/detect/pooled_graphs.h"
#include "harness/kernels/device.h"
#include "tests/support/source_path.h"

namespace samebits {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

class PoolReuseTest : public testing::TestWithParam<c10::DeviceType> {
 protected:
  void SetUp() override {
    if (const std::string reason = why_no_cuda(); GetParam() == c10::kCUDA && !reason.empty()) {
      GTEST_SKIP() << reason;
    }
  }
  static Subject subject(HeldOutputs outputs) { return doubled_in_one_pool(outputs, GetParam()); }
};

TEST_P(PoolReuseTest, OnlyWhatNobodyHoldsOrCopiesIsOverwritten) {
  EXPECT_TRUE(run_pooled(subject(HeldOutputs::kByAddress)).went_wrong);
  for (const HeldOutputs outputs : {HeldOutputs::kOwned, HeldOutputs::kUntilCopied}) {
    const Outcome outcome = run_pooled(subject(outputs));
    EXPECT_FALSE(outcome.went_wrong) << outcome.evidence;
    EXPECT_THAT(overlapping_outputs(subject(outputs)), IsEmpty());
  }
}

// By intervals, which a card shows too, and by what is read there.
TEST_P(PoolReuseTest, IsFoundAtCaptureAndAtReplay) {
  const auto found = overlapping_outputs(subject(HeldOutputs::kByAddress));
  EXPECT_THAT(found, Contains(HasSubstr("output 0 of the graph at 8 is read later, and lies in the "
                                        "memory of what samebits::residual_add returns in the "
                                        "graph at 4")));
  EXPECT_THAT(found, Contains(HasSubstr("replayed from the largest to the smallest, at 8: ")));
}

INSTANTIATE_TEST_SUITE_P(Devices, PoolReuseTest, testing::Values(c10::kCPU, c10::kCUDA),
                         [](const auto& info) { return c10::DeviceTypeName(info.param); });

TEST(PoolReuse, MemoryOutsideThePoolIsNoOutput) {
  EXPECT_THAT(run_pooled(doubled_outside_the_pool()).evidence,
              HasSubstr("output 0 of the graph at 8: expected a tensor in the graph's pool"));
}

// The whole model: its engine copies what a replay leaves; a reader that came later would be wrong.
TEST(PoolReuse, OfAModelIsFoundWhereItsLogitsAreReadLater) {
  ArmSettings arm;
  arm.model = source_path("cases/models/tiny");
  Subject subject = subject_of_arm(arm);
  EXPECT_THAT(overlapping_outputs(subject), IsEmpty());
  subject.outputs = HeldOutputs::kByAddress;
  EXPECT_THAT(overlapping_outputs(subject), Contains(HasSubstr("output 0 of the graph at 64")));
}

}  // namespace
}  // namespace samebits
