#include "harness/report/markdown.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/report/table.h"

namespace samebits {
namespace {

TEST(MarkdownText, NothingInItIsLive) {
  EXPECT_EQ(
      markdown_text("a` <img src=x> @everyone ![x](https://example.org/p.png) `b"),
      "a\\` &lt;img src=x&gt; @&#8203;everyone !\\[x](https:&#8203;//example.org/p.png) \\`b");
  EXPECT_EQ(markdown_text("*a* _b_ ~~c~~ $d$ e|f <!-- &amp; \\"),
            "\\*a\\* \\_b\\_ \\~\\~c\\~\\~ \\$d\\$ e\\|f &lt;!-- &amp;amp; \\\\");
  EXPECT_EQ(markdown_text("www.example.org x@y.org #12 owner/name#12"),
            "www&#8203;.example.org x@&#8203;y.org #&#8203;12 owner/name#&#8203;12");
  EXPECT_EQ(markdown_text("[1](x) [1]: x [1][2] [^1] [a]"),
            "\\[1](x) \\[1]: x \\[1][2] \\[^1] \\[a]");
  EXPECT_EQ(markdown_text("one\n# two\x1b"), "one\\\\n# two\\\\u001b");
}

TEST(MarkdownText, GitHubFindsNeitherIssuesNorEmoji) {
  EXPECT_EQ(markdown_text("GH-12"), "GH-&#8203;12");
  EXPECT_EQ(markdown_text(":smile:"), ":&#8203;smile:");
  EXPECT_EQ(markdown_text("step 3: loss: -1"), "step 3: loss: -1");
}

TEST(MarkdownText, BeginsNoBlock) {
  EXPECT_EQ(markdown_text("# a"), "\\# a");
  EXPECT_EQ(markdown_text("- a"), "\\- a");
  EXPECT_EQ(markdown_text("--- "), "\\--- ");
  EXPECT_EQ(markdown_text("12. a"), "12\\. a");
  EXPECT_EQ(markdown_text("    a"), "a");
  EXPECT_EQ(markdown_text("> a"), "&gt; a");
}

TEST(MarkdownText, LeavesWhatReportsSay) {
  for (const char* text :
       {"-0.003001295", "loss 5 ULP; first grad_norm", "layers.2.feed_forward.w2#0",
        "[1] first logprob[0,3]", "eager = eager-tp2 (0.5 s), 11 %", "1.5",
        "Arms a, b are equal to the bit."}) {
    EXPECT_EQ(markdown_text(text), text);
  }
}

TEST(MarkdownCode, EndsWhereTheTextEnds) {
  EXPECT_EQ(markdown_code("samebits run x"), "`samebits run x`");
  EXPECT_EQ(markdown_code("a`b"), "``a`b``");
  EXPECT_EQ(markdown_code("`a``b`"), "``` `a``b` ```");
  EXPECT_EQ(markdown_code("a\nb"), "`a\\nb`");
}

TEST(MarkdownBlock, IsLongerThanWhatIsInIt) {
  EXPECT_EQ(markdown_block("a\n"), "```\na\n```\n");
  EXPECT_EQ(markdown_block("```\n<img>"), "````\n```\n<img>\n````\n");
}

TEST(MarkdownTable, CellsAreTextUnlessTheyAreOurs) {
  const Table table{{{"a"}}, {{"<b>`x`|\n"}}};
  EXPECT_EQ(table.markdown(), "| a |\n|---|\n| &lt;b&gt;\\`x\\`\\|\\\\n |\n");
  EXPECT_EQ(table.markdown(Table::Cells::kMarkdown), "| a |\n|---|\n| <b>`x`\\|  |\n");
  EXPECT_EQ(table.console(), "a\n---------\n<b>`x`|\\n\n");
}

}  // namespace
}  // namespace samebits
