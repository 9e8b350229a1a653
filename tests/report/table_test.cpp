#include "harness/report/table.h"

#include <gtest/gtest.h>

namespace samebits {
namespace {

const Table kTable = {{{"step", true}, {"note", false}},
                      {{"0", "a|b"}, {"10", "\xc3\xa9t\xc3\xa9"}}};

TEST(Table, ConsoleAlignsByCharactersAndLeavesNoTrailingSpace) {
  EXPECT_EQ(kTable.console(),
            "step  note\n"
            "----  ----\n"
            "   0  a|b\n"
            "  10  \xc3\xa9t\xc3\xa9\n");
}

TEST(Table, MarkdownEscapesBars) {
  EXPECT_EQ(kTable.markdown(),
            "| step | note |\n"
            "|---:|---|\n"
            "| 0 | a\\|b |\n"
            "| 10 | \xc3\xa9t\xc3\xa9 |\n");
}

TEST(Table, FiguresKeepThreeDigits) {
  EXPECT_EQ(seconds_text(1.234), "1.23 s");
  EXPECT_EQ(seconds_text(12.34), "12.3 s");
  EXPECT_EQ(seconds_text(1234.5), "1234 s");
  EXPECT_EQ(bytes_text(5 << 19), "2.5 MiB");
  EXPECT_EQ(bytes_text(300 << 20), "300 MiB");
  EXPECT_EQ(percent_text(0.754), "75 %");
}

}  // namespace
}  // namespace samebits
