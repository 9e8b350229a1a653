#include "harness/base/text.h"

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

TEST(Printable, LeavesNothingThatActsOnATerminal) {
  EXPECT_EQ(printable("a\x1b[31m\nb\r\t"), "a\\u001b[31m\\nb\\u000d\\u0009");
  EXPECT_EQ(printable(std::string_view("\0\x7f", 2)), "\\u0000\\u007f");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\\u009b31m");  // CSI in one character
  EXPECT_EQ(printable("a\xe2\x80\xae"
                      "b"),
            "a\\u202eb");  // right to left
  EXPECT_EQ(printable("a\xe2\x81\xa6\xe2\x80\xa8"), "a\\u2066\\u2028");
  EXPECT_EQ(printable("\xff\xc3"
                      "a\xed\xa0\x80\xc0\x80\xf4\x90\x80\x80\xe2\x82"),
            "\\xff\\xc3"
            "a\\xed\\xa0\\x80\\xc0\\x80\\xf4\\x90\\x80\\x80\\xe2\\x82");
  EXPECT_EQ(printable("plain \\ \"日本\" \xf0\x9f\x98\x80"), "plain \\ \"日本\" \xf0\x9f\x98\x80");
}

TEST(Printable, LeavesNoCharacterThatXmlHasNot) {
  EXPECT_EQ(printable("a\xef\xbf\xbf\xef\xbf\xbe"), "a\\uffff\\ufffe");
  EXPECT_EQ(printable("\xe2\x80\x8e\xd8\x9c"), "\\u200e\\u061c");
}

TEST(Printable, StaysAsItIsAndKeepsLinesWhereAsked) {
  const std::string once = printable("a\x1b\n\xff");
  EXPECT_EQ(printable(once), once);
  EXPECT_EQ(printable_lines("a\n\tb\x1b"), "a\n\tb\\u001b");
}

TEST(Shortened, KeepsBeginAndEnd) {
  EXPECT_EQ(shortened("abc", 16), "abc");
  EXPECT_EQ(shortened(std::string(3'000'000, '9') + " expected 1", 33),
            std::string(18, '9') + " ... expected 1");
  for (size_t size = 0; size < 200; ++size) {
    for (const char* piece : {"x", "日", "\x1b", "\xff"}) {
      std::string text;
      for (size_t i = 0; i < size; ++i) text += piece;
      const std::string line = shortened(text, 50);
      EXPECT_LE(line.size(), 50u);
      EXPECT_EQ(printable(line), line);
    }
  }
}

TEST(Quoted, CutsLongTextsBetweenCharacters) {
  EXPECT_EQ(quoted(std::string(100, 'x')), "\"" + std::string(100, 'x') + "\"");
  EXPECT_EQ(quoted(std::string(101, 'x')), "\"" + std::string(100, 'x') + "\"...");
  const std::string text = std::string(99, 'x') + "日本";
  EXPECT_EQ(quoted(text), "\"" + std::string(99, 'x') + "\"...");
}

}  // namespace
}  // namespace samebits
