#include "harness/report/record.h"

#include <gmock/gmock.h>

#include <limits>

#include "harness/base/error.h"
#include "harness/report/record_parts.h"
#include "tests/report/run.h"

namespace samebits {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using testing::grpo_stream;
using ::testing::HasSubstr;
using testing::message_of;
using testing::nudged;
using testing::RunOptions;
using ::testing::StartsWith;

class Record : public testing::Scratch {
 protected:
  ReportRecord record_of(const RunOptions& options) {
    testing::write_run(folder_ / "run", options);
    return record_from_folder(folder_ / "run");
  }
};

TEST_F(Record, GoodRunSaysWhatIsEqualAndHowFarTheControlIs) {
  const ReportRecord record = record_of({});
  EXPECT_TRUE(record.holds);
  EXPECT_EQ(
      record.headline,
      "All losses, rewards and token logprobs of arms eager and captured-tp2 are equal to the "
      "bit; control fused differs from eager from step 1 on, losses by up to 7 ULP; "
      "generator and trainer agree to the bit in eager, captured-tp2 and fused (36 tokens); 1 of 1 "
      "arms equal their goldens.");
  ASSERT_EQ(record.steps.size(), 3u);
  EXPECT_EQ(record.steps[0].values[0], "14.8504");
  EXPECT_EQ(record.steps[0].tokens, 4);
  EXPECT_EQ(record.steps[1].cells[0].text, "equal");
  EXPECT_EQ(record.steps[0].cells[1].text, "equal");
  EXPECT_EQ(record.steps[1].cells[1].text, "loss 7 ULP");
}

TEST_F(Record, ArmsWithTheSameLossesAreOneSeries) {
  const ReportRecord record = record_of({});
  ASSERT_EQ(record.losses.size(), 2u);
  EXPECT_THAT(record.losses[0].arms, ElementsAre("eager", "captured-tp2"));
  EXPECT_THAT(record.losses[0].distance, ElementsAre(0u, 0u, 0u));
  EXPECT_THAT(record.losses[1].arms, ElementsAre("fused"));
  EXPECT_THAT(record.losses[1].distance, ElementsAre(0u, 7u, 0u));
  EXPECT_EQ(record.losses[1].values[0], 7.4252f / 0.5f);
}

TEST_F(Record, FairTimesAreOfTheRounds) {
  testing::write_run(folder_ / "run", {});
  EXPECT_TRUE(record_from_folder(folder_ / "run").fair_times.empty());
  std::vector<TimedRun> times;
  for (int64_t round = 0; round < 3; ++round) {
    const double drift = 1 + static_cast<double>(round);
    times.push_back({"fused", round, {9, 9}, {0.5 * drift, 0.5 * drift}});
    times.push_back({"eager", round, {5, 1, 3}, {drift, drift, 100}});
  }
  write_times(folder_ / "run", times);
  EXPECT_EQ(read_times(folder_ / "run"), times);
  const ReportRecord record = record_from_folder(folder_ / "run");
  EXPECT_TRUE(record.holds);
  ASSERT_EQ(record.fair_times.size(), 2u);
  EXPECT_EQ(record.fair_times[0].arm, "eager");
  EXPECT_EQ(record.fair_times[0].rounds, 3);
  EXPECT_EQ(record.fair_times[0].wall.median, 3);
  EXPECT_EQ(record.fair_times[0].processor.low, 1);
  EXPECT_EQ(record.fair_times[0].processor.high, 3);
  EXPECT_FALSE(record.fair_times[0].change.is_known);
  EXPECT_EQ(record.fair_times[1].change.text(), "0.50 times as long");
}

TEST_F(Record, TimesThatAreBrokenAreRefused) {
  testing::write_run(folder_ / "run", {});
  write(folder_ / "run" / "times.json", R"([{"arm": "eager", "round": 0, "seconds": []}])");
  EXPECT_THAT(message_of<InputError>([&] { record_from_folder(folder_ / "run"); }),
              HasSubstr("times.json"));
}

TEST_F(Record, SaysWhatLevelStepDoesNotSee) {
  const auto says_so = ::testing::Contains(HasSubstr("Level step: the verdict is not sensitive"));
  EXPECT_THAT(record_of({}).blind_spots, says_so);
  std::filesystem::remove_all(folder_ / "run");
  RunOptions options;
  options.eager.push_back(testing::scalar(2, "train", "layers.0.wo#0", 1));
  options.captured = options.fused = options.eager;
  EXPECT_THAT(record_of(options).blind_spots, ::testing::Not(says_so));
}

TEST_F(Record, TimesAddUpAndPeaksDoNot) {
  const ReportRecord record = record_of({});
  ASSERT_EQ(record.arms.size(), 3u);
  const ReportRecord::ArmRecord& arm = record.arms[1];
  EXPECT_EQ(arm.mode, "TP 2, captured");
  EXPECT_EQ(arm.wall_seconds, 6);
  EXPECT_EQ(arm.processor_seconds, 6);
  EXPECT_EQ(arm.phases[0].seconds, 4.5);
  EXPECT_EQ(arm.phases[0].share, 0.75);
  EXPECT_EQ(arm.phases[0].peak_bytes, 300 << 20);
  EXPECT_EQ(arm.witness[1].second, 3 * 812);
}

TEST_F(Record, LookingIsToldApartFromThePhases) {
  const ReportRecord record = record_of({});
  ASSERT_TRUE(record.arms[1].looking.has_value());
  const ReportRecord::Looking& looking = *record.arms[1].looking;
  EXPECT_EQ(looking.level, Level::kStep);
  EXPECT_EQ(looking.observations, 42);
  EXPECT_EQ(looking.wall.low, 0.75);  // of the steps from the second on
  EXPECT_EQ(looking.wall.high, 1.0);
  EXPECT_EQ(looking.processor.median, 0.5);
  EXPECT_EQ(looking.share, 1.75 / (1.75 + 4));
  EXPECT_EQ(looking.peak_bytes, 3 << 20);
}

TEST_F(Record, ArmThatPartsFailsWithStepSiteAndDistance) {
  RunOptions options;
  options.captured = nudged(grpo_stream(3), 2, "logprob[1,0]", 5);
  const ReportRecord record = record_of(options);
  EXPECT_FALSE(record.holds);
  EXPECT_THAT(record.headline,
              StartsWith("FAILED: eager and captured-tp2 diverge (step 2, rollout, "
                         "logprob[1,0])"));
  EXPECT_EQ(record.steps[2].cells[0].text, "logprob[1,0] 5 ULP");
  EXPECT_TRUE(record.steps[1].cells[0].equal);
}

TEST_F(Record, ControlThatAgreesFails) {
  RunOptions options;
  options.fused = grpo_stream(3);
  EXPECT_FALSE(record_of(options).holds);
}

TEST_F(Record, WitnessThatFailsFailsTheRun) {
  RunOptions options;
  options.has_witness = false;
  const ReportRecord record = record_of(options);
  EXPECT_FALSE(record.holds);
  EXPECT_THAT(record.headline, HasSubstr("captured-tp2 did not run in its mode"));
  EXPECT_THAT(record.failures[0].facts[0].second, HasSubstr("0 nodes and 9 eager calls ran"));
}

TEST_F(Record, ArmThatPartsFromItselfIsToldFirst) {
  RunOptions options;
  options.captured = nudged(grpo_stream(3), 2, "loss", 5);
  options.closer = {{.a = "eager",
                     .b = "captured-tp2",
                     .text = "layers.0.wo#0 differs",
                     .unstable = {{"captured-tp2", "another run of it differs at step 0"}}}};
  const ReportRecord record = record_of(options);
  EXPECT_THAT(record.headline, StartsWith("FAILED: captured-tp2 parts from itself; eager and"));
  ASSERT_EQ(record.failures.size(), 2u);
  EXPECT_EQ(record.failures[1].facts.end()[-2].second, "layers.0.wo#0 differs");
}

TEST_F(Record, HeadlineEndsWithTheCause) {
  RunOptions options;
  options.captured = nudged(grpo_stream(3), 2, "loss", 5);
  options.closer = {{.a = "eager",
                     .b = "captured-tp2",
                     .text = "layers.0.wo#0 differs",
                     .facts = {{"cause", "samebits::linear has other arguments"}}}};
  EXPECT_THAT(record_of(options).headline,
              EndsWith("diverge (step 2, train, loss): samebits::linear has other arguments."));
}

TEST_F(Record, NanInEqualArmsFails) {
  std::vector<Observation> stream = grpo_stream(3);
  Observation& loss = stream.at(testing::at_site(stream, 1, "loss"));
  loss = testing::scalar(1, "train", "loss", std::numeric_limits<float>::quiet_NaN());
  RunOptions options;
  options.eager = options.captured = stream;
  const ReportRecord record = record_of(options);
  EXPECT_FALSE(record.holds);
  EXPECT_THAT(record.headline,
              StartsWith("FAILED: eager has a NaN or an infinity (step 1, train, loss is nan)"));
}

TEST_F(Record, RanksThatNothingAnswersToAreAFailureOfTheirOwn) {
  RecordedRun run;
  run.settings = parse_case(
      R"({"name": "c", "arms": {"a": {"recorded": "x"}, "b": {"recorded": "y"}},
          "relations": [{"arms": ["a", "b"], "holds": "bit_exact"}]})",
      "c.json");
  run.recordings = {testing::recording("a", grpo_stream(1)),
                    testing::recording("b", grpo_stream(1))};
  EXPECT_TRUE(record_from(run).verdicts[0].holds);
  std::vector<Observation> other = nudged(grpo_stream(1), 0, "loss");
  for (Observation& each : other) each.rank = 1;
  run.recordings[1].ranks.push_back({other, 0, 0});
  const ReportRecord record = record_from(run);
  EXPECT_FALSE(record.holds);
  EXPECT_THAT(record.headline, HasSubstr("a and b have streams of unequal numbers of ranks"));
}

TEST_F(Record, PiecewiseArmSaysThatItsGuardsWereDropped) {
  const Case c = parse_case(
      R"({"name": "c", "model": "m", "arms": {"p": {"generator": "piecewise", "guards": "drop"}}})",
      "c.json");
  EXPECT_EQ(arm_record(c.arms[0], testing::recording("p", {})).mode, "TP 1, piecewise, no guards");
}

TEST_F(Record, CaseThatWasEditedSinceTheRunFails) {
  testing::write_run(folder_ / "run", {});
  std::string text = read(folder_ / "run" / "case.json");
  const std::string relation = "\"must_diverge\"";
  write(folder_ / "run" / "case.json",
        text.replace(text.find(relation), relation.size(), "\"bit_exact\""));
  const ReportRecord record = record_from_folder(folder_ / "run");
  EXPECT_FALSE(record.holds);
  EXPECT_THAT(record.headline, HasSubstr("case.json is not what was run: relations"));
}

TEST_F(Record, ArmThatIsGoneFailsTheRun) {
  testing::write_run(folder_ / "run", {});
  std::filesystem::remove(folder_ / "run" / "captured-tp2" / "rank-0.jsonl");
  const ReportRecord record = record_from_folder(folder_ / "run");
  EXPECT_FALSE(record.holds);
  EXPECT_THAT(record.headline, HasSubstr("captured-tp2 was recorded and is gone"));
}

TEST_F(Record, GoldenThatDiffersFailsTheRun) {
  RunOptions options;
  options.golden_status = "different";
  const ReportRecord record = record_of(options);
  EXPECT_FALSE(record.holds);
  ASSERT_FALSE(record.failures.empty());
  EXPECT_THAT(record.failures.back().next, ElementsAre("samebits why golden/grpo-tiny/eager.json",
                                                       HasSubstr("samebits bless ")));
}

TEST_F(Record, GoldenThatWasNotComparedIsSaid) {
  RunOptions options;
  options.golden_status = "other_settings";
  const ReportRecord record = record_of(options);
  EXPECT_TRUE(record.holds);
  EXPECT_THAT(record.headline, HasSubstr("0 of 1 arms equal their goldens (eager was"));
}

TEST_F(Record, RunThatWasCutOffIsReadable) {
  RunOptions options;
  options.has_manifest = false;
  testing::write_run(folder_ / "run", options);
  std::filesystem::remove_all(folder_ / "run" / "fused");
  std::filesystem::remove(folder_ / "run" / "captured-tp2" / "finished.json");
  const std::string text = read(folder_ / "run" / "captured-tp2" / "rank-0.jsonl");
  write(folder_ / "run" / "captured-tp2" / "rank-0.jsonl", text.substr(0, text.size() / 2));
  const ReportRecord record = record_from_folder(folder_ / "run");
  EXPECT_FALSE(record.is_complete);
  EXPECT_FALSE(record.holds);
  EXPECT_THAT(record.headline, HasSubstr("captured-tp2 was cut off"));
  EXPECT_TRUE(record.steps[0].cells[0].equal);
}

TEST_F(Record, RunOfFinishedArmsWithoutItsManifestWasCutOff) {
  RunOptions options;
  options.has_manifest = false;
  const ReportRecord record = record_of(options);
  EXPECT_FALSE(record.holds);
  EXPECT_THAT(record.headline, HasSubstr("the run was cut off: it has no manifest"));
}

TEST_F(Record, FolderWithoutARunIsRefused) {
  EXPECT_THAT(message_of<InputError>([&] { record_from_folder(folder_); }),
              HasSubstr("no case.json"));
}

}  // namespace
}  // namespace samebits
