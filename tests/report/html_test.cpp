#include <gmock/gmock.h>

#include <regex>

#include "harness/bits/safetensors.h"
#include "harness/report/html/element.h"
#include "harness/report/html/picture.h"
#include "harness/report/writers.h"
#include "tests/report/run.h"

namespace samebits {
namespace {

using testing::grpo_stream;
using ::testing::HasSubstr;
using testing::nudged;
using testing::RunOptions;

class HtmlReport : public testing::Scratch {
 protected:
  std::string page_of(const RunOptions& options) {
    std::filesystem::remove_all(folder_ / "run");
    testing::write_run(folder_ / "run", options);
    return page();
  }
  std::string page() {
    const RecordedRun run = read_run(folder_ / "run");
    const ReportRecord record = record_from(run);
    return html_report(record, pictures_of(run, record));
  }
  static RunOptions failing() {
    RunOptions options;
    options.captured = nudged(grpo_stream(3), 2, "loss", 5);
    return options;
  }
};

// A page is too long to be shown by a matcher that fails.
bool has(const std::string& page, const std::string& part) {
  return page.find(part) != std::string::npos;
}

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++count;
  return count;
}

// Every element that is opened is closed, in order. "" where that holds.
std::string unbalanced(const std::string& page) {
  std::vector<std::string> open;
  const std::regex tag(R"(<(/?)([a-z][a-z0-9]*)[^>]*>)");
  for (std::sregex_iterator at(page.begin(), page.end(), tag), end; at != end; ++at) {
    const std::string name = (*at)[2];
    if (name == "meta") continue;
    if ((*at)[1].length() == 0) {
      open.push_back(name);
    } else if (open.empty() || open.back() != name) {
      return name;
    } else {
      open.pop_back();
    }
  }
  return open.empty() ? "" : open.back();
}

TEST(HtmlElement, WhateverGoesInIsEscaped) {
  const std::string hostile = "<script>alert(\"x\")</script>&'\n\x1b\xff";
  EXPECT_EQ(Html::element("p", {{"title", hostile}}, hostile).bytes(),
            "<p title=\"&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&amp;'\\n\\u001b\\xff\">"
            "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&amp;'\\n\\u001b\\xff</p>");
}

TEST(HtmlElement, ElementsNest) {
  EXPECT_EQ((Html::element("b", {}, "a") + Html("c")).bytes(), "<b>a</b>c");
  EXPECT_EQ(Html::element("p", Html::element("b", {}, "a")).bytes(), "<p><b>a</b></p>");
}

TEST(GridSvg, NeighboursOfAShadeAreOneStroke) {
  const std::vector<Shade> shades = {{"none", ""}, {"equal", "equal"}, {"all", "differs"}};
  CellGrid grid{4, 2, {1, 1, 2, 1, 0, 0, 0, 2}, 2};
  const std::string svg = grid_svg(grid, shades, "t").bytes();
  EXPECT_THAT(svg, HasSubstr(R"(<path class="equal" d="M0 0.5h2m1 0h1"></path>)"));
  EXPECT_THAT(svg, HasSubstr(R"(<path class="all" d="M2 0.5h1M3 1.5h1"></path>)"));
  EXPECT_THAT(svg, HasSubstr(R"(<rect class="frame" x="2" y="0" width="1" height="1">)"));
  EXPECT_THAT(svg, HasSubstr("<title>t</title>"));
}

TEST_F(HtmlReport, AFailureSaysWhoWhereByHowMuchAndWhatToDo) {
  const std::string page = page_of(failing());
  EXPECT_TRUE(has(page, ">FAILED</strong>"));
  EXPECT_TRUE(has(page, "eager and captured-tp2 diverge"));
  EXPECT_TRUE(has(page, "<dt>where</dt><dd>step 2, train, loss</dd>"));
  EXPECT_TRUE(has(page, "7.4252 against 7.4252024, 5 ULP"));
  EXPECT_TRUE(has(page, "What to do next:"));
  EXPECT_TRUE(has(page, "<code>samebits repro new NAME --from "));
  EXPECT_TRUE(has(page, "Born at step 2, train, loss; it reaches 1 of "));
  EXPECT_EQ(unbalanced(page), "");
}

TEST_F(HtmlReport, AGoodRunHoldsAndShowsItsControl) {
  const std::string page = page_of({});
  EXPECT_TRUE(has(page, ">HOLDS</strong>"));
  EXPECT_FALSE(has(page, "FAILED"));
  EXPECT_TRUE(has(page, "eager and captured-tp2 (equal to the bit)"));
  EXPECT_TRUE(has(page, "(a control: it was to diverge)"));
  EXPECT_TRUE(has(page, "there is nothing to draw: eager and captured-tp2."));
  EXPECT_EQ(unbalanced(page), "");
}

TEST_F(HtmlReport, StandsAloneInBothColoursAndOnPaper) {
  const std::string page = page_of(failing());
  EXPECT_TRUE(has(page, "@media (prefers-color-scheme: dark)"));
  EXPECT_TRUE(has(page, "@media print"));
  EXPECT_TRUE(has(page, "default-src 'none'"));
  for (const char* outside : {"http:", "https:", "src=", "url(", "<script", "@import"}) {
    EXPECT_FALSE(has(page, outside)) << outside;
  }
  EXPECT_EQ(count_of(page, "href="), count_of(page, "href=\"#"));  // within the page
  EXPECT_EQ(count_of(page, "href=\"#"), count_of(page, "<section id="));
  // Each picture has words, and each place that scrolls can be reached without a mouse.
  EXPECT_EQ(count_of(page, "<svg "), count_of(page, "<title>") - 1);
  EXPECT_EQ(count_of(page, "class=\"scroll\""), count_of(page, "tabindex=\"0\""));
}

TEST_F(HtmlReport, TheSameRunGivesTheSameBytes) {
  const std::string page_before = page_of(failing());
  EXPECT_TRUE(page() == page_before);
}

TEST_F(HtmlReport, AChangedValueChangesTheNumbersAndThePictures) {
  RunOptions farther;
  farther.captured = nudged(grpo_stream(3), 2, "loss", 9);
  const std::string page = page_of(failing());
  const std::string other = page_of(farther);
  EXPECT_TRUE(has(page, ">7 ULP<"));  // of the control
  EXPECT_FALSE(has(page, ">9 ULP<"));
  EXPECT_TRUE(has(other, ">9 ULP<"));
}

TEST_F(HtmlReport, NothingOfAForeignRunIsLive) {
  const std::string hostile = "</title></style><script>alert(1)</script><img src=x onerror=y>\"'";
  RunOptions options = failing();
  for (Observation& each : options.captured) {
    if (each.site == "kl") each.site = hostile;
  }
  options.closer = {{.a = "eager", .b = "captured-tp2", .text = hostile}};
  testing::write_run(folder_ / "run", options);
  const std::string page = this->page();
  EXPECT_TRUE(has(page, "&lt;script&gt;"));
  for (const char* live : {"<script", "<img", "onerror=y>\""}) {
    EXPECT_FALSE(has(page, live)) << live;
  }
  EXPECT_EQ(unbalanced(page), "");
}

TEST_F(HtmlReport, DrawsTheTensorsThatACloserLookKept) {
  testing::write_run(folder_ / "run", failing());
  const std::filesystem::path closer = folder_ / "run" / "op-eager+captured-tp2";
  for (const char* arm : {"eager", "captured-tp2"}) {
    std::filesystem::create_directories(closer / arm);
    std::filesystem::copy_file(folder_ / "run" / arm / "rank-0.jsonl",
                               closer / arm / "rank-0.jsonl");
  }
  const std::vector<float> a(300 * 300, 1.0f);
  std::vector<float> b = a;
  b[7] = std::nextafter(b[7], 2.0f);
  const auto view = [](const char* name, const std::vector<float>& values) {
    return TensorView{name, Dtype::float32, {300, 300}, std::as_bytes(std::span(values))};
  };
  const std::vector<TensorView> views = {view("a", a), view("b", b)};
  write_safetensors((closer / "difference.safetensors").string(), views,
                    {{"a", "eager"}, {"b", "captured-tp2"}, {"place", "step 2, train, loss"}});
  const std::string page = this->page();
  EXPECT_TRUE(has(page, "1 of 90000 differ"));
  EXPECT_TRUE(has(page, "A cell of the 128 x 128 is a block of elements"));
  EXPECT_TRUE(has(page, R"(<path class="d1" d="M2 0.5h1"></path>)"));
  EXPECT_TRUE(has(page, "run again at level op"));
  EXPECT_EQ(unbalanced(page), "");
}

TEST_F(HtmlReport, DrawsTheCallsThatLedToADifference) {
  testing::write_run(folder_ / "run", failing());
  const std::filesystem::path closer = folder_ / "run" / "op-eager+captured-tp2";
  for (const char* arm : {"eager", "captured-tp2"}) {
    std::filesystem::create_directories(closer / arm);
    std::filesystem::copy_file(folder_ / "run" / arm / "rank-0.jsonl",
                               closer / arm / "rank-0.jsonl");
  }
  using State = CallGraph::State;
  CallGraph graph{"eager", "captured-tp2", "step 2, train, loss", {}, {"aten::sum"}};
  graph.nodes = {{"", "x<script>", State::kEqual, {}},
                 {"", "norm.weight", State::kDifferent, {}},
                 {"samebits::rms_norm", "norm#0", State::kDifferent, {0, 1}},
                 {"samebits::grpo_loss", "loss#0", State::kOnlyHere, {2, 0}}};
  write_call_graph(closer, graph);
  const std::string page = this->page();
  EXPECT_TRUE(has(page, "step 2, train, loss: the calls that led to it"));
  EXPECT_EQ(count_of(page, R"(class="layer")"), 3u);
  EXPECT_EQ(count_of(page, R"(class="box )"), 4u);
  EXPECT_EQ(count_of(page, R"(class="line equal" d="M25 8.5L50 11.5")"), 1u);
  EXPECT_EQ(count_of(page, R"(class="line all" d="M75 8.5L50 11.5")"), 1u);
  EXPECT_TRUE(has(page, "captured-tp2 alone made: aten::sum."));
  EXPECT_TRUE(has(page, "x&lt;script&gt;"));
  EXPECT_FALSE(has(page, "<script"));
  EXPECT_EQ(unbalanced(page), "");
  graph.nodes = {{"", "x", State::kEqual, {}}};
  for (size_t i = 0; i < 99; ++i) graph.nodes.push_back({"f", "", State::kEqual, {i}});
  write_call_graph(closer, graph);
  const std::string long_one = this->page();
  EXPECT_EQ(count_of(long_one, R"(class="box )"), 20u);
  EXPECT_TRUE(has(long_one, "80 more are not drawn."));
}

TEST_F(HtmlReport, NamesWithoutEndAreCut) {
  RunOptions options = failing();
  for (Observation& each : options.captured) {
    if (each.site == "kl") each.site = std::string(1'000'000, 'x');
  }
  EXPECT_LT(page_of(options).size(), 200'000u);
}

TEST_F(HtmlReport, ItsSizeDoesNotGrowWithTheRun) {
  const auto failing_of = [](int64_t steps) {
    RunOptions options;
    options.eager = grpo_stream(steps);
    options.captured = nudged(grpo_stream(steps), 2, "loss", 5);
    return options;
  };
  const size_t some = page_of(failing_of(500)).size();
  EXPECT_LT(page_of(failing_of(1000)).size(), some + some / 20);
}

}  // namespace
}  // namespace samebits
