#include "harness/base/nearest.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace samebits {
namespace {

TEST(EditDistance, CountsEdits) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("abc", ""), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("seed", "sede"), 1u);  // neighbours swapped
  EXPECT_EQ(edit_distance("ca", "abc"), 3u);     // no part is edited twice
}

TEST(NearestWord, FindsTheMisspeltKey) {
  const std::vector<std::string> known{"model", "seed", "steps", "mesh", "timeout_s"};
  EXPECT_EQ(nearest_word("modle", known), "model");
  EXPECT_EQ(nearest_word("step", known), "steps");
  EXPECT_EQ(nearest_word("timeout", known), "timeout_s");
  EXPECT_EQ(nearest_word("sed", known), "seed");
}

TEST(NearestWord, StaysSilentWhenNothingIsNear) {
  const std::vector<std::string> known{"model", "seed"};
  EXPECT_EQ(nearest_word("workload", known), std::nullopt);
  EXPECT_EQ(nearest_word("", known), std::nullopt);
  EXPECT_EQ(nearest_word("x", {}), std::nullopt);
}

TEST(NearestWord, TakesTheFirstOfEquals) {
  const std::vector<std::string> known{"tp2", "tp4"};
  EXPECT_EQ(nearest_word("tp3", known), "tp2");
}

}  // namespace
}  // namespace samebits
