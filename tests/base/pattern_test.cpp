#include "harness/base/pattern.h"

#include <gmock/gmock.h>

#include "harness/base/error.h"
#include "tests/base/message_of.h"

namespace samebits {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Pattern, NamesItsGroupsInTheirOrder) {
  const Pattern pattern(R"((?<step>\d+) (x)? (?<a>\S+))", "pattern");
  EXPECT_THAT(pattern.names(), ElementsAre("step", "a"));
  Pattern::Groups groups;
  ASSERT_TRUE(pattern.first_match("at 12 x 0.5 on", groups));
  EXPECT_THAT(groups, ElementsAre("12", "0.5"));
  EXPECT_FALSE(pattern.first_match("nothing", groups));
}

TEST(Pattern, TellsAGroupThatTookNoPart) {
  const Pattern pattern(R"((?<a>a)?b)", "pattern");
  Pattern::Groups groups;
  ASSERT_TRUE(pattern.first_match("b", groups));
  EXPECT_EQ(groups[0].data(), nullptr);
}

TEST(Pattern, FindsAllMatchesAndEndsAtEmptyOnes) {
  std::vector<std::string> found;
  Pattern(R"((?<n>\d*))", "pattern").all_matches("1a22", [&](const Pattern::Groups& groups) {
    found.emplace_back(groups[0]);
  });
  EXPECT_THAT(found, ElementsAre("1", "", "22", ""));
}

TEST(Pattern, PassesOverBytesThatAreNoUtf8) {
  EXPECT_TRUE(Pattern("loss", "pattern").matches("\xff loss \xfe"));
  EXPECT_FALSE(Pattern("loss", "pattern").matches("\xff los"));
}

TEST(Pattern, SaysWhereAnExpressionIsBroken) {
  EXPECT_THAT(message_of<InputError>([] { Pattern("a(b", "--pattern"); }),
              HasSubstr("--pattern: byte 3"));
}

TEST(Pattern, GivesUpInsteadOfSearchingForever) {
  const std::string text(40, 'a');
  EXPECT_THAT(message_of<InputError>(
                  [&] { Pattern("(*NO_JIT)^(a+)+$", "only").matches(text + "b" + text); }),
              HasSubstr("gives up"));
}

}  // namespace
}  // namespace samebits
