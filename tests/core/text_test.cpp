#include "harness/core/text.h"

#include <gtest/gtest.h>

#include <string>

namespace samebits {
namespace {

TEST(Quoted, StaysOneLine) {
  EXPECT_EQ(quoted(std::string("plain")), "\"plain\"");
  EXPECT_EQ(quoted("a\nb\t\"\\"), R"("a\nb\u0009\"\\")");
  EXPECT_EQ(quoted(std::string_view("\0\x7f", 2)), R"("\u0000\u007f")");
  EXPECT_EQ(quoted("日本"), "\"日本\"");
}

TEST(Quoted, CutsLongTextsBetweenCharacters) {
  EXPECT_EQ(quoted(std::string(100, 'x')), "\"" + std::string(100, 'x') + "\"");
  EXPECT_EQ(quoted(std::string(101, 'x')), "\"" + std::string(100, 'x') + "\"...");
  const std::string text = std::string(99, 'x') + "日本";
  EXPECT_EQ(quoted(text), "\"" + std::string(99, 'x') + "\"...");
}

}  // namespace
}  // namespace samebits
