#include "harness/report/pace.h"

#include <gtest/gtest.h>

#include <cmath>

namespace samebits {
namespace {

TEST(PaceTest, LeavesOutTheFirstStep) {
  const Pace pace = pace_of({100, 1, 2, 3});
  EXPECT_EQ(pace.steps, 3);
  EXPECT_DOUBLE_EQ(pace.mean, 2);
  EXPECT_DOUBLE_EQ(pace.deviation, 1);
}

TEST(PaceTest, OneStepIsNoSpread) {
  EXPECT_EQ(pace_of({}).steps, 0);
  EXPECT_EQ(pace_of({1}).steps, 0);
  EXPECT_FALSE(change_of(pace_of({1, 2}), pace_of({1, 2})).is_known);
  EXPECT_EQ(change_of(pace_of({1, 2}), pace_of({1, 2})).text(), "");
}

// By hand: means 2 and 3, relative variances of the means 1 / 3 / 4 and 1 / 3 / 9, t of two degrees
// of freedom 4.303: 1.5 * exp(+-4.303 * sqrt(13 / 108)).
TEST(PaceTest, TheIntervalIsThatOfTheFormula) {
  const PaceChange change = change_of(pace_of({0, 1, 2, 3}), pace_of({0, 2, 3, 4}));
  EXPECT_TRUE(change.is_known);
  EXPECT_DOUBLE_EQ(change.factor, 1.5);
  EXPECT_NEAR(change.low, 1.5 / 4.4490, 1e-3);
  EXPECT_NEAR(change.high, 1.5 * 4.4490, 1e-2);
  EXPECT_EQ(change.text(), "no significant change");
}

TEST(PaceTest, AChangeBeyondTheSpreadIsOne) {
  const Pace first = pace_of({0, 1.00, 1.01, 0.99, 1.00});
  EXPECT_EQ(change_of(first, pace_of({0, 0.80, 0.81, 0.79, 0.80})).text(), "0.80 times as long");
  EXPECT_EQ(change_of(first, pace_of({0, 1.25, 1.26, 1.24, 1.25})).text(), "1.25 times as long");
  EXPECT_EQ(change_of(first, first).text(), "no significant change");
}

// By hand: factors 2, 2 and 4, logarithms ln 2 * (1, 1, 2) with mean 4/3 ln 2 and deviation
// ln 2 / sqrt(3), t of two degrees of freedom 4.303: 2^(4/3) * 2^(+-4.303 / 3).
TEST(PaceTest, PairsAreComparedRoundByRound) {
  const PaceChange change = change_of_pairs({1, 10, 100}, {2, 20, 400});
  EXPECT_TRUE(change.is_known);
  EXPECT_NEAR(change.factor, std::exp2(4.0 / 3), 1e-9);
  EXPECT_NEAR(change.low, std::exp2(4.0 / 3 - 4.303 / 3), 1e-9);
  EXPECT_NEAR(change.high, std::exp2(4.0 / 3 + 4.303 / 3), 1e-9);
  EXPECT_FALSE(change.is_significant());
  EXPECT_TRUE(change_of_pairs({1, 10, 100}, {2, 20.1, 199}).is_significant());
}

TEST(PaceTest, TwoPairsSayNothing) {
  EXPECT_FALSE(change_of_pairs({1, 1}, {2, 2}).is_known);
  EXPECT_FALSE(change_of_pairs({1, 0, 1}, {2, 2, 2}).is_known);
}

}  // namespace
}  // namespace samebits
