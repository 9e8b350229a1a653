#include "harness/diagnose/bisect_commits.h"

#include <gmock/gmock.h>

#include <cmath>

namespace samebits {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(BisectCommits, RarerDifferencesNeedMoreRuns) {
  EXPECT_EQ(runs_to_miss_nothing(1), 1);
  EXPECT_EQ(runs_to_miss_nothing(0.8), 3);
  EXPECT_EQ(runs_to_miss_nothing(0.4), 10);
  EXPECT_EQ(runs_to_miss_nothing(0.01), 50);
  for (const double share : {0.2, 0.4, 0.6, 0.8, 0.95}) {
    const auto runs = static_cast<double>(runs_to_miss_nothing(share));
    EXPECT_LE(std::pow(1 - share, runs), 0.01);
    EXPECT_GT(std::pow(1 - share, runs - 1), 0.01);
  }
}

TEST(BisectCommits, ACommitIsSaidInHowManyRunsItDiffers) {
  TriedCommit commit{"8f3c scale", {5, 2, {Sighting::Kind::kSame, "step 0, train, loss: ..."}}};
  EXPECT_EQ(commit.text(), "differs in 2 of 5 runs; step 0, train, loss: ...");
  commit.trial = {5, 0, {}};
  EXPECT_EQ(commit.text(), "equal in 5 of 5 runs");
  commit.trial = {1, 0, {Sighting::Kind::kRefused, "the build fails"}};
  EXPECT_EQ(commit.text(), "cannot be run: the build fails");
}

TEST(BisectCommits, WhatIsNotToldApartIsListed) {
  const Trial equal{2, 0, {}};
  const Trial differs{2, 2, {Sighting::Kind::kSame, "loss"}};
  Bisection found{.arm = "a", .good = {"1 first", equal}, .bad = {"9 last", differs}};
  found.suspects = {"5 broken", "6 scale"};
  found.found = {"6 scale", differs};
  EXPECT_FALSE(found.is_found());
  EXPECT_THAT(found.text(), HasSubstr("one of 2 commits moved the bits of a"));
  EXPECT_THAT(found.text(), HasSubstr("5 broken"));
  found.suspects = {"6 scale"};
  EXPECT_TRUE(found.is_found());
  EXPECT_THAT(found.text(), HasSubstr("6 scale moved the bits of a"));
  EXPECT_THAT(found.text(), Not(HasSubstr("one of")));
  found.bad.trial = equal;
  EXPECT_THAT(found.text(), HasSubstr("nothing to find: the bad commit is equal to the good one"));
}

}  // namespace
}  // namespace samebits
