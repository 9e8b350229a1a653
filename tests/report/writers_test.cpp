#include "harness/report/writers.h"

#include <gmock/gmock.h>

#include <limits>
#include <sstream>

#include "harness/base/error.h"
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

TEST_F(Writers, ConsoleFitsIn120ColumnsAndEndsWithTheVerdict) {
  const ReportRecord record = record_of({});
  const std::string text = console_report(record);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(display_width(line), 120u) << line;
  EXPECT_THAT(text, HasSubstr("generator.nodes"));
  EXPECT_THAT(text, HasSubstr("996.0 K parameters, 4 layers of width 128"));
  EXPECT_THAT(text, ::testing::EndsWith(console_summary(record)));
  EXPECT_THAT(console_summary(record), ::testing::StartsWith("grpo-tiny\nAll losses, rewards"));
}

TEST_F(Writers, LastScreenOfAFailureSaysWhoWhereByHowMuchAndWhatToDo) {
  const std::string text = console_summary(failed());
  EXPECT_THAT(
      text,
      HasSubstr("\neager and captured-tp2 diverge\n"
                "  where     step 2, train, loss\n"
                "  values    7.4252 against 7.4252024, 5 ULP\n"
                "  compared  1 of 72 observations differ\n"
                "  settings  mesh.tp: 1 against 2; generator: \"eager\" against \"captured\"\n"
                "  next      samebits report "));
  EXPECT_THAT(text, HasSubstr("samebits repro new NAME --from "));
}

// Of blocks with the same commands the last has them; one with others has its own.
TEST_F(Writers, LastScreenSaysOnceWhatToDo) {
  ReportRecord record;
  record.failures = {{"first", {}, {"samebits blame RUN"}},
                     {"second", {}, {"samebits why FILE"}},
                     {"third", {}, {"samebits report RUN", "samebits blame RUN"}},
                     {"fourth", {}, {}}};
  const std::string text = console_summary(record);
  EXPECT_THAT(text, ::testing::EndsWith("\nfirst\n"
                                        "\nsecond\n  next      samebits why FILE\n"
                                        "\nthird\n  next      samebits report RUN\n"
                                        "            samebits blame RUN\n"
                                        "\nfourth\n"));
}

TEST_F(Writers, ReasonsOfRelationsAreAColumnWhereThereAreSome) {
  ReportRecord record = record_of({});
  EXPECT_THAT(markdown_report(record), Not(HasSubstr("| reason |")));
  record.verdicts[1].relation.reason = "it drops roundings";
  EXPECT_THAT(markdown_report(record), HasSubstr("| reason |"));
  EXPECT_THAT(console_summary(record), Not(HasSubstr("it drops roundings")));
}

// Both sides of an arm are NaN, so that no token of theirs differs.
TEST_F(Writers, OnPolicyTablesSayWhatIsNaN) {
  std::vector<Observation> stream = grpo_stream(3);
  for (Observation& each : stream) {
    if (each.step != 1 || !each.site.starts_with("logprob")) continue;
    each = testing::scalar(1, each.phase, each.site, std::numeric_limits<float>::quiet_NaN());
  }
  RunOptions options;
  options.captured = stream;
  const std::string text = markdown_report(record_of(options));
  EXPECT_THAT(text, HasSubstr("| FAILS | 12 | 0 | NaN or infinite on both sides |"));
  EXPECT_THAT(text, HasSubstr("| captured-tp2 is NaN or infinite in 4 of 4 tokens |"));
}

TEST_F(Writers, MarkdownHasTheTableAndEscapesCells) {
  const std::string text = markdown_report(record_of({}));
  EXPECT_THAT(text, HasSubstr("| step | loss | reward | grad norm | KL | tokens | on policy | "
                              "[1] bit_exact | [2] fused |\n|---:|---:|"));
  EXPECT_THAT(text, HasSubstr("| 0 | 14.8504 | 0.5 | 0.75 | 0 | 4 | equal | equal | equal |\n"));
  EXPECT_THAT(text, HasSubstr("abc\\|def"));
  EXPECT_THAT(text, HasSubstr("`samebits run cases/grpo-tiny.json`"));
}

TEST_F(Writers, MarkdownDrawsTheLossesWhereTheyDiffer) {
  EXPECT_THAT(
      markdown_report(record_of({})),
      HasSubstr("## Losses that differ\nArms with the same losses, to the bit, are one row. "
                "A bar is a step, or of a long run the largest of several; distances are "
                "ULP by powers of two.\n\n"
                "| arms | loss by step | distance by step |  |\n|---|---|---|---|\n"
                "| eager and captured-tp2 | █▃▁ |  | the others are measured from it |\n"
                "| fused | █▃▁ | ▁█▁ | at most 7 ULP |\n"));
  std::filesystem::remove_all(folder_ / "run");
  RunOptions options;
  options.fused = grpo_stream(3);
  EXPECT_THAT(markdown_report(record_of(options)), Not(HasSubstr("Losses that differ")));
}

TEST_F(Writers, JsonSaysTheSame) {
  const Json good = parse_json(json_report(record_of({})), "report");
  EXPECT_EQ(good.at("holds"), true);
  EXPECT_EQ(good.at("steps").at(0).at("loss"), "14.8504");
  EXPECT_EQ(good.at("verdicts").size(), 2u);
  EXPECT_EQ(good.at("arms").at(1).at("witness").at("generator.nodes"), 3 * 812);
  EXPECT_EQ(good.at("arms").at(1).at("looking").at("level"), "step");
  EXPECT_EQ(good.at("arms").at(1).at("looking").at("wall").at("high"), 1.0);
}

TEST_F(Writers, SayWhatLookingCost) {
  const ReportRecord record = record_of({});
  const std::string markdown = markdown_report(record);
  EXPECT_THAT(markdown, HasSubstr("## What looking cost"));
  EXPECT_THAT(markdown, HasSubstr("captured-tp2 | step | 42 | 875.0 ms (750.0 ms to 1.00 s)"));
  EXPECT_THAT(console_details(record), HasSubstr("observations a step"));
}

TEST_F(Writers, JunitCountsFailures) {
  const std::string bad = junit_report(failed());
  EXPECT_THAT(bad, HasSubstr("tests=\"10\" failures=\"2\" skipped=\"0\""));
  EXPECT_THAT(bad, HasSubstr("<failure message=\"eager and captured-tp2 diverge at step 2"));
  std::filesystem::remove_all(folder_ / "run");
  const std::string good = junit_report(record_of({}));
  EXPECT_THAT(good, HasSubstr("tests=\"10\" failures=\"0\" skipped=\"0\""));
  EXPECT_THAT(good, Not(HasSubstr("<failure")));
}

TEST_F(Writers, JunitSkipsAGoldenThatWasNotComparedAndSaysWhy) {
  RunOptions options;
  options.golden_status = "absent";
  const std::string text = junit_report(record_of(options));
  EXPECT_THAT(text, HasSubstr("failures=\"0\" skipped=\"1\""));
  EXPECT_THAT(text, HasSubstr("name=\"golden eager\" time=\"0\">\n    <skipped message=\"golden"));
}

TEST_F(Writers, JunitEscapes) {
  ReportRecord record = record_of({});
  record.arms[0].evidence.witness = "a < b & \"c\"";
  EXPECT_THAT(junit_report(record), HasSubstr("message=\"a &lt; b &amp; &quot;c&quot;\""));
}

TEST_F(Writers, UnknownFormatIsRefusedWithTheNearest) {
  const ReportRecord record = record_of({});
  const RecordedRun run = read_run(folder_ / "run");
  EXPECT_EQ(report_in_format(record, run, "md"), markdown_report(record));
  EXPECT_THAT(message_of<InputError>([&] { report_in_format(record, run, "junitt"); }),
              HasSubstr("did you mean \"junit\"?"));
}

}  // namespace
}  // namespace samebits
