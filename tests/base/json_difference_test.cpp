#include "harness/base/json_difference.h"

#include <gtest/gtest.h>

namespace samebits {
namespace {

JsonDifference difference_of(const std::string& first, const std::string& second) {
  return first_difference(Json::parse(first), Json::parse(second)).value_or(JsonDifference());
}

TEST(JsonDifference, IsNamedByItsKey) {
  const JsonDifference found = difference_of(R"({"a": {"b": 1}})", R"({"a": {"b": [1, 2]}})");
  EXPECT_EQ(found.key, "a.b");
  EXPECT_EQ(found.first, "1");
  EXPECT_EQ(found.second, "[1,2]");
  EXPECT_FALSE(first_difference(Json::parse("[1]"), Json::parse("[1]")));
}

TEST(JsonDifference, OfLongListsShowsWhereTheyDiffer) {
  const std::string head =
      R"(["/opt/environments/of-a-long-name/bin/python", "-m", "recorder", "--", "train.py")";
  const JsonDifference flag =
      difference_of(head + R"(, "--gelu", "none", "-v"])", head + R"(, "--gelu", "tanh", "-v"])");
  EXPECT_EQ(flag.first, R"([...,"none"])");
  EXPECT_EQ(flag.second, R"([...,"tanh"])");
  const JsonDifference more = difference_of(head + "]", head + R"(, "--compile"])");
  EXPECT_EQ(more.first, "[...]");
  EXPECT_EQ(more.second, R"([...,"--compile"])");
  const JsonDifference all = difference_of(head + "]", "[]");
  EXPECT_TRUE(all.first.starts_with(R"(["/opt)")) << all.first;
  EXPECT_EQ(all.second, "[]");
}

}  // namespace
}  // namespace samebits
