#include "harness/report/curve.h"

#include <gmock/gmock.h>

#include <limits>

namespace samebits {
namespace {

using ::testing::ElementsAre;

constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();

TEST(Curve, ThinsToTheLargestOfNeighbours) {
  const Curve curve = {1, 5, std::nullopt, 2, std::nullopt, std::nullopt};
  EXPECT_EQ(thinned(curve, 6), curve);
  EXPECT_THAT(thinned(curve, 3), ElementsAre(5, 2, std::nullopt));
}

TEST(Curve, DistancesBecomePowersOfTwo) {
  EXPECT_THAT(powers_of({0, 1, 3, std::nullopt}), ElementsAre(0, 1, 2, std::nullopt));
}

TEST(Curve, ItsRangeIsThatOfFiniteValues) {
  const std::optional<CurveRange> range = range_of({{2, kNotANumber}, {std::nullopt, -1}});
  ASSERT_TRUE(range);
  EXPECT_EQ(range->low, -1);
  EXPECT_EQ(range->high, 2);
  EXPECT_FALSE(range_of({{kNotANumber}}));
}

TEST(Sparkline, HasABarForEachValue) {
  EXPECT_EQ(sparkline({0, 7, std::nullopt, 3.5, kNotANumber}, {0, 7}), "▁█ ▅ ");
  EXPECT_EQ(sparkline({4, 4}, {4, 4}), "▁▁");
}

}  // namespace
}  // namespace samebits
