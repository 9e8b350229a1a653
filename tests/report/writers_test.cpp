#include "harness/report/writers.h"

#include <gmock/gmock.h>

#include <sstream>

#include "harness/core/error.h"
#include "harness/report/table.h"
#include "tests/report/run.h"

namespace samebits {
namespace {

using testing::grpo_stream;
using ::testing::HasSubstr;
using testing::message_of;
using ::testing::Not;
using testing::nudged;
using testing::RunOptions;

class Writers : public testing::Scratch {
 protected:
  ReportRecord record_of(const RunOptions& options) {
    testing::write_run(folder_ / "run", options);
    return record_from_folder(folder_ / "run");
  }
  ReportRecord failed() {
    RunOptions options;
    options.captured = nudged(grpo_stream(3), 2, "loss", 5);
    return record_of(options);
  }
};

TEST_F(Writers, ConsoleFitsIn120ColumnsAndStartsWithTheVerdict) {
  const std::string text = console_report(record_of({}));
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, "grpo-tiny");
  std::getline(lines, line);
  EXPECT_THAT(line, HasSubstr("equal to the bit"));
  while (std::getline(lines, line)) EXPECT_LE(display_width(line), 120u) << line;
  EXPECT_THAT(text, HasSubstr("generator.nodes"));
}

TEST_F(Writers, ConsoleNamesWhatParted) {
  EXPECT_THAT(console_report(failed()), HasSubstr("loss 5 ULP"));
}

TEST_F(Writers, MarkdownHasTheTableAndEscapesCells) {
  const std::string text = markdown_report(record_of({}));
  EXPECT_THAT(text, HasSubstr("| step | loss | reward | grad norm | KL | tokens | [1] bit_exact "
                              "| [2] fused |\n|---:|---:|"));
  EXPECT_THAT(text, HasSubstr("| 0 | 14.8504 | 0.5 | 0.75 | 0 | 4 | equal | equal |\n"));
  EXPECT_THAT(text, HasSubstr("abc\\|def"));
  EXPECT_THAT(text, HasSubstr("`samebits run cases/grpo-tiny.json`"));
}

TEST_F(Writers, JsonSaysTheSame) {
  const Json good = parse_json(json_report(record_of({})), "report");
  EXPECT_EQ(good.at("holds"), true);
  EXPECT_EQ(good.at("steps").at(0).at("loss"), "14.8504");
  EXPECT_EQ(good.at("verdicts").size(), 2u);
  EXPECT_EQ(good.at("arms").at(1).at("witness").at("generator.nodes"), 3 * 812);
}

TEST_F(Writers, JunitCountsFailures) {
  const std::string bad = junit_report(failed());
  EXPECT_THAT(bad, HasSubstr("tests=\"6\" failures=\"1\""));
  EXPECT_THAT(bad, HasSubstr("<failure message=\"eager and captured-tp2 part at step 2"));
  std::filesystem::remove_all(folder_ / "run");
  const std::string good = junit_report(record_of({}));
  EXPECT_THAT(good, HasSubstr("tests=\"6\" failures=\"0\""));
  EXPECT_THAT(good, Not(HasSubstr("<failure")));
}

TEST_F(Writers, JunitEscapes) {
  RunOptions options;
  options.witness_failure = "a < b & \"c\"";
  EXPECT_THAT(junit_report(record_of(options)),
              HasSubstr("message=\"a &lt; b &amp; &quot;c&quot;\""));
}

TEST_F(Writers, UnknownFormatIsRefusedWithTheNearest) {
  const ReportRecord record = record_of({});
  EXPECT_EQ(report_in_format(record, "md"), markdown_report(record));
  EXPECT_THAT(message_of<InputError>([&] { report_in_format(record, "junitt"); }),
              HasSubstr("did you mean \"junit\"?"));
}

}  // namespace
}  // namespace samebits
