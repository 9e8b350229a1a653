#include "repro/guard_dropped_after_specialise/repro.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/detect/detectors.h"
#include "harness/detect/findings.h"

namespace samebits {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(DroppedGuard, IsFalseAtTheSizesOfTheOtherBranch) {
  EXPECT_THAT(false_guards(sum_or_mean(GuardPolicy::kDrop)),
              ElementsAre(HasSubstr("s=5: s % 2 == 0"), HasSubstr("s=7: s % 2 == 0"),
                          HasSubstr("s=1: s % 2 == 0")));
  EXPECT_THAT(false_guards(last_row(GuardPolicy::kDrop)),
              ElementsAre(HasSubstr("s=2: s == 1"), HasSubstr("s=5: s == 1")));
  EXPECT_THAT(false_guards(plus_table(GuardPolicy::kDrop)), Contains(HasSubstr("s=5: s <= 4")));
}

TEST(DroppedGuard, LeavesACallThatIsNotThePrograms) {
  EXPECT_THAT(symbol_mismatches(sum_or_mean(GuardPolicy::kDrop)),
              Contains(HasSubstr("s=5: eager calls aten::mean where the graph has")));
}

class KeptGuardTest : public testing::TestWithParam<Subject (*)(GuardPolicy)> {};

TEST_P(KeptGuardTest, GivesEachBranchAGraphOfItsOwn) {
  const Subject subject = GetParam()(GuardPolicy::kKeep);
  const Outcome outcome = run_subject(subject);
  EXPECT_FALSE(outcome.went_wrong) << outcome.evidence;
  for (const Detector& detector : detectors()) {
    EXPECT_THAT(detector.find(subject), IsEmpty()) << detector.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Programs, KeptGuardTest,
                         testing::Values(sum_or_mean, last_row, plus_table));

// What a size is declared to be is nothing to ask about: one graph, whose smallest size holds.
TEST(DroppedGuard, IsNotNeededWhereTheSizeIsDeclared) {
  Subject subject = last_row(GuardPolicy::kDrop);
  subject.dims[0].at_least = 2;
  subject.hint = 6;
  subject.sizes = {2, 5, 9};
  EXPECT_FALSE(run_subject(subject).went_wrong);
  EXPECT_THAT(false_guards(subject), IsEmpty());
  subject.sizes = {1};
  EXPECT_THAT(run_subject(subject).evidence, HasSubstr("traced at 6, served at 1: "));
}

}  // namespace
}  // namespace samebits
