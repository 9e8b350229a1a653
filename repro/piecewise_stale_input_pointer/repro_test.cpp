#include "repro/piecewise_stale_input_pointer/repro.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/detect/findings.h"
#include "harness/kernels/device.h"

namespace samebits {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Only a result that is new at every step and that nobody copies leaves the next piece without.
class StaleInputTest
    : public testing::TestWithParam<std::tuple<SplitOutput, SplitResults, c10::DeviceType>> {};

TEST_P(StaleInputTest, IsRefusedWhereAFreshResultIsHandedOn) {
  const auto [output, results, device] = GetParam();
  if (const std::string reason = why_no_cuda(); device == c10::kCUDA && !reason.empty()) {
    GTEST_SKIP() << reason;
  }
  const Subject subject = split_product(output, results, device);
  const Outcome outcome = run_replayed(subject);
  if (output == SplitOutput::kFresh && results == SplitResults::kHandedOn) {
    EXPECT_THAT(outcome.evidence, HasSubstr("piece 2: input 0 (result 0 of the graph, piece 1) was "
                                            "not written since the last replay"));
    EXPECT_THAT(moved_addresses(subject), ElementsAre(HasSubstr("piece 2: input 0")));
  } else {
    EXPECT_FALSE(outcome.went_wrong) << outcome.evidence;
    EXPECT_THAT(moved_addresses(subject), IsEmpty());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Outputs, StaleInputTest,
    testing::Combine(testing::Values(SplitOutput::kFresh, SplitOutput::kBuffer),
                     testing::Values(SplitResults::kHandedOn, SplitResults::kCopied),
                     testing::Values(c10::kCPU, c10::kCUDA)));

// It is the replay that is at fault: the trace, whole or split, is right.
TEST(StaleInput, DoesNotShowInTheTracedGraph) {
  const Outcome outcome = run_subject(split_product(SplitOutput::kFresh, SplitResults::kHandedOn));
  EXPECT_FALSE(outcome.went_wrong) << outcome.evidence;
}

}  // namespace
}  // namespace samebits
