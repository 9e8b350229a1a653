#include "repro/cublas_workspace_outlives_graph/repro.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/detect/findings.h"
#include "harness/kernels/device.h"

namespace samebits {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class WorkspaceTest : public testing::TestWithParam<c10::DeviceType> {
 protected:
  void SetUp() override {
    if (const std::string reason = why_no_cuda(); GetParam() == c10::kCUDA && !reason.empty()) {
      GTEST_SKIP() << reason;
    }
  }
  static Subject subject(Scratch scratch) { return split_sum_product(scratch, GetParam()); }
};

TEST_P(WorkspaceTest, AGraphsOwnScratchLivesAsLongAsItDoes) {
  const Outcome outcome = run_replayed(subject(Scratch::kOfTheCall));
  EXPECT_FALSE(outcome.went_wrong) << outcome.evidence;
  EXPECT_THAT(moved_addresses(subject(Scratch::kOfTheCall)), IsEmpty());
}

TEST_P(WorkspaceTest, TheStreamsIsGivenBackWhenALargerCallComes) {
  EXPECT_THAT(run_replayed(subject(Scratch::kOfTheStream)).evidence,
              HasSubstr("replayed after a call at 5: the graph: the Float"));
  EXPECT_THAT(moved_addresses(subject(Scratch::kOfTheStream)), Not(IsEmpty()));
}

// Calls that need no more than the captured one leave it where it is.
TEST_P(WorkspaceTest, TheStreamsIsKeptWhereNoLargerCallComes) {
  Subject small = subject(Scratch::kOfTheStream);
  small.sizes = {1, 2, 3, 4};
  const Outcome outcome = run_replayed(small);
  EXPECT_FALSE(outcome.went_wrong) << outcome.evidence;
}

INSTANTIATE_TEST_SUITE_P(Devices, WorkspaceTest, testing::Values(c10::kCPU, c10::kCUDA),
                         [](const auto& info) { return c10::DeviceTypeName(info.param); });

}  // namespace
}  // namespace samebits
