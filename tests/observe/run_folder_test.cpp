#include "harness/observe/run_folder.h"

#include <gmock/gmock.h>

#include "harness/base/error.h"
#include "harness/observe/guard_file.h"
#include "tests/support/scratch.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;
using testing::message_of;

Case example_case(const std::vector<std::string>& overrides = {}) {
  return parse_case(R"({"name": "c", "model": "m", "arms": {"a": {}, "b": {"mesh": {"tp": 2}}}})",
                    "c.json", overrides);
}

void record_step(ArmRecorder& arm, int64_t step, int64_t ranks) {
  for (int64_t rank = 0; rank < ranks; ++rank) {
    arm.sink(rank).record(observe_float32(step, "train", rank, "loss", 0.5f + step));
  }
  arm.record_step({step, {{"train", 0.1, 0, 0}}, {}, "text"});
}

class RunFolderTest : public testing::Scratch {
 protected:
  std::filesystem::path run() const { return folder_ / "run"; }
};

TEST_F(RunFolderTest, ReadsBackWhatAnArmRecorded) {
  {
    RunFolder folder = RunFolder::create(run(), example_case());
    const auto arm = folder.start_arm("b");
    for (int64_t step = 0; step < 3; ++step) record_step(*arm, step, /*ranks=*/2);
    EXPECT_FALSE(folder.is_finished("b"));
    arm->finish();
    EXPECT_TRUE(folder.is_finished("b"));
    EXPECT_FALSE(folder.is_finished("a"));
  }
  const ArmRecording recording = read_arm(run() / "b");
  EXPECT_EQ(recording.arm, "b");
  EXPECT_TRUE(recording.finished);
  ASSERT_EQ(recording.ranks.size(), 2u);
  EXPECT_EQ(recording.ranks[1].observations.size(), 3u);
  EXPECT_EQ(recording.steps.size(), 3u);
  EXPECT_EQ(canonical_json(case_of_run(run())), canonical_json(example_case()));
}

TEST_F(RunFolderTest, FolderThatHoldsARunIsRefusedAndUntouched) {
  { RunFolder::create(run(), example_case()); }
  const std::string before = read(run() / "case.json");
  const std::string message =
      message_of<InputError>([&] { RunFolder::create(run(), example_case({"a.seed=1"})); });
  EXPECT_THAT(message, HasSubstr("a run recorded in it"));
  EXPECT_THAT(message, HasSubstr("--resume"));
  EXPECT_EQ(read(run() / "case.json"), before);
}

TEST_F(RunFolderTest, FolderWithOtherFilesIsRefusedAndUntouched) {
  write(run() / "thesis.tex", "precious");
  EXPECT_THAT(message_of<InputError>([&] { RunFolder::create(run(), example_case()); }),
              HasSubstr("thesis.tex"));
  EXPECT_FALSE(std::filesystem::exists(run() / "case.json"));
}

TEST_F(RunFolderTest, FolderThatIsAFileIsRefused) {
  write(run(), "a file");
  EXPECT_THAT(message_of<InputError>([&] { RunFolder::create(run(), example_case()); }),
              HasSubstr(run().string()));
  EXPECT_EQ(read(run()), "a file");
}

TEST_F(RunFolderTest, RunInProgressIsRefused) {
  const RunFolder running = RunFolder::create(run(), example_case());
  EXPECT_THAT(message_of<InputError>([&] { RunFolder::resume(run(), example_case()); }),
              HasSubstr("a run in progress"));
}

TEST_F(RunFolderTest, ResumeOfAnotherCaseIsRefusedWithWhatDiffers) {
  { RunFolder::create(run(), example_case()); }
  const std::string message =
      message_of<InputError>([&] { RunFolder::resume(run(), example_case({"b.seed=7"})); });
  EXPECT_THAT(message, HasSubstr("\"seed\": 42"));
  EXPECT_THAT(message, HasSubstr("\"seed\": 7"));
  { RunFolder::resume(run(), example_case()); }
}

// Where an arm runs moves no bit; where a finished one ran is on record.
TEST_F(RunFolderTest, AnArmThatHasNotEndedMayGoOnElsewhere) {
  {
    RunFolder folder = RunFolder::create(run(), example_case());
    const auto arm = folder.start_arm("a");
    record_step(*arm, 0, 1);
    arm->finish();
  }
  const Case elsewhere = example_case({"b.mesh.tp=4"});
  { RunFolder::resume(run(), elsewhere); }
  EXPECT_EQ(canonical_json(case_of_run(run())), canonical_json(elsewhere));
  const std::string message =
      message_of<InputError>([&] { RunFolder::resume(run(), example_case({"a.mesh.tp=4"})); });
  EXPECT_THAT(message, HasSubstr("\"tp\": 4"));
}

TEST_F(RunFolderTest, ResumeOfNothingIsRefused) {
  EXPECT_THAT(message_of<InputError>([&] { RunFolder::resume(run(), example_case()); }),
              HasSubstr("no case.json"));
}

TEST_F(RunFolderTest, ResumedArmEndsAsAnUndisturbedOne) {
  {
    RunFolder folder = RunFolder::create(folder_ / "undisturbed", example_case());
    const auto arm = folder.start_arm("a");
    for (int64_t step = 0; step < 4; ++step) record_step(*arm, step, 2);
    arm->finish();
  }
  {
    RunFolder folder = RunFolder::create(run(), example_case());
    const auto arm = folder.start_arm("a");
    for (int64_t step = 0; step < 2; ++step) record_step(*arm, step, 2);
  }
  EXPECT_FALSE(read_arm(run() / "a").finished);
  {
    RunFolder folder = RunFolder::resume(run(), example_case());
    EXPECT_FALSE(folder.is_finished("a"));
    const auto arm = folder.start_arm("a");
    for (int64_t step = 0; step < 4; ++step) record_step(*arm, step, 2);
    arm->finish();
  }
  for (const char* name : {"rank-0.jsonl", "rank-1.jsonl", "steps.jsonl", "finished.json"}) {
    EXPECT_EQ(read(run() / "a" / name), read(folder_ / "undisturbed" / "a" / name)) << name;
  }
}

TEST_F(RunFolderTest, ResumedArmThatPartsIsARunError) {
  {
    RunFolder folder = RunFolder::create(run(), example_case());
    record_step(*folder.start_arm("a"), 0, 1);
  }
  RunFolder folder = RunFolder::resume(run(), example_case());
  const auto arm = folder.start_arm("a");
  EXPECT_THAT(message_of<RunError>(
                  [&] { arm->sink(0).record(observe_float32(0, "train", 0, "loss", 0.75f)); }),
              HasSubstr("now step 0 train rank 0 loss = 0.75"));
}

TEST_F(RunFolderTest, RankThatIsNotSeenAgainIsARunError) {
  {
    RunFolder folder = RunFolder::create(run(), example_case());
    record_step(*folder.start_arm("a"), 0, 2);
  }
  RunFolder folder = RunFolder::resume(run(), example_case());
  const auto arm = folder.start_arm("a", /*ranks=*/2);
  record_step(*arm, 0, 1);
  EXPECT_THAT(message_of<RunError>([&] { arm->finish(); }), HasSubstr("rank-1.jsonl"));
}

TEST_F(RunFolderTest, FinishedArmWhoseFilesChangedIsDamagedAndRunsAgain) {
  {
    RunFolder folder = RunFolder::create(run(), example_case());
    const auto arm = folder.start_arm("a");
    for (int64_t step = 0; step < 3; ++step) record_step(*arm, step, 1);
    arm->finish();
  }
  const std::filesystem::path file = run() / "a" / "rank-0.jsonl";
  const std::string text = read(file);
  write(file, text.substr(0, text.find('\n') + 1));
  EXPECT_EQ(read_arm(run() / "a").damage, "rank-0.jsonl is not the file that the run wrote");
  EXPECT_THAT(message_of<InputError>([&] { read_whole_arm(run() / "a"); }),
              HasSubstr("rank-0.jsonl is not the file"));
  {
    RunFolder folder = RunFolder::resume(run(), example_case());
    EXPECT_FALSE(folder.is_finished("a"));
    const auto arm = folder.start_arm("a");
    EXPECT_FALSE(read_arm(run() / "a").finished) << "its old marker vouches for nothing";
    for (int64_t step = 0; step < 3; ++step) record_step(*arm, step, 1);
    arm->finish();
  }
  EXPECT_EQ(read(file), text);
  EXPECT_EQ(read_arm(run() / "a").damage, "");
}

TEST_F(RunFolderTest, EveryFileOfAFinishedArmIsVouchedFor) {
  {
    RunFolder folder = RunFolder::create(run(), example_case());
    const auto arm = folder.start_arm("a");
    record_step(*arm, 0, 1);
    arm->record_guards({});
    arm->record_graphs({"{}"});
    arm->finish();
  }
  for (const char* name : {"rank-0.jsonl", "steps.jsonl", "guards.json", "graph-0.json"}) {
    const std::filesystem::path file = run() / "a" / name;
    const std::string text = read(file);
    write(file, text + " ");
    EXPECT_EQ(damage_of_arm(run() / "a"),
              std::string(name) + " is not the file that the run wrote");
    std::filesystem::remove(file);
    EXPECT_EQ(damage_of_arm(run() / "a"), std::string(name) + " is gone");
    write(file, text);
    EXPECT_EQ(damage_of_arm(run() / "a"), "");
  }
  write(run() / "a" / "rank-1.jsonl", "");
  EXPECT_EQ(damage_of_arm(run() / "a"), "rank-1.jsonl is not of the run");
  std::filesystem::remove(run() / "a" / "rank-1.jsonl");
  std::filesystem::rename(run() / "a", run() / "b");
  EXPECT_EQ(damage_of_arm(run() / "b"), "its files were recorded as arm \"a\"");
}

TEST_F(RunFolderTest, RunThatWasKilledBeforeItsCaseWasWrittenIsBegunAnew) {
  for (const bool resumes : {false, true}) {
    std::filesystem::remove_all(run());
    write(run() / ".lock", "");
    write(run() / "run.json", "{}");
    write(run() / "case.json.Ab12Cd", "{");
    resumes ? RunFolder::resume(run(), example_case()) : RunFolder::create(run(), example_case());
    EXPECT_TRUE(std::filesystem::exists(run() / "case.json"));
    EXPECT_FALSE(std::filesystem::exists(run() / "case.json.Ab12Cd"));
  }
}

TEST_F(RunFolderTest, ResumeSweepsWhatInterruptedWritesLeftAndNothingElse) {
  { RunFolder::create(run(), example_case()).start_arm("a"); }
  write(run() / "report.md.Zz99Zz", "half");
  write(run() / "a" / "guards.json.aaaaaa", "half");
  write(run() / "a" / "notes.Ab12Cd", "mine");
  { RunFolder::resume(run(), example_case()); }
  EXPECT_FALSE(std::filesystem::exists(run() / "report.md.Zz99Zz"));
  EXPECT_FALSE(std::filesystem::exists(run() / "a" / "guards.json.aaaaaa"));
  EXPECT_EQ(read(run() / "a" / "notes.Ab12Cd"), "mine");
}

TEST_F(RunFolderTest, ResumeByAnotherOriginIsRefusedWithItsName) {
  const Json origin = {{"level", "step"}, {"models", {{"m", {{"model.safetensors", "12"}}}}}};
  { RunFolder::create(run(), example_case(), origin); }
  { RunFolder::resume(run(), example_case(), origin); }
  Json other = origin;
  other["models"]["m"]["model.safetensors"] = "34";
  EXPECT_THAT(message_of<InputError>([&] { RunFolder::resume(run(), example_case(), other); }),
              HasSubstr("run.json: models.m.model.safetensors: found \"12\", expected \"34\""));
}

TEST_F(RunFolderTest, ReplaceTakesARunAwayAndNothingThatIsNone) {
  {
    RunFolder folder = RunFolder::create(run(), example_case());
    const auto arm = folder.start_arm("a");
    record_step(*arm, 0, 1);
    arm->finish();
    RunFolder::create(run() / "op-a+b", example_case());
  }
  write(run() / "a" / "thesis.tex", "precious");
  EXPECT_THAT(message_of<InputError>([&] { RunFolder::replace(run(), example_case()); }),
              HasSubstr("thesis.tex"));
  EXPECT_TRUE(std::filesystem::exists(run() / "a" / "rank-0.jsonl"));
  std::filesystem::remove(run() / "a" / "thesis.tex");
  { RunFolder::replace(run(), example_case()); }
  EXPECT_FALSE(std::filesystem::exists(run() / "a"));
  EXPECT_FALSE(std::filesystem::exists(run() / "op-a+b"));
  EXPECT_TRUE(std::filesystem::exists(run() / "case.json"));
}

TEST_F(RunFolderTest, RankBehindAMissingOneIsNotPassedOver) {
  const auto arm = run() / "loose";
  std::filesystem::create_directories(arm);
  for (const char* name : {"rank-0.jsonl", "rank-2.jsonl"}) write(arm / name, "");
  EXPECT_THAT(message_of<InputError>([&] { read_arm(arm); }), HasSubstr("no rank-1.jsonl"));
}

TEST_F(RunFolderTest, FolderWithoutAStreamIsNoArm) {
  std::filesystem::create_directories(run());
  EXPECT_THAT(message_of<InputError>([&] { read_arm(run()); }), HasSubstr("no rank-0.jsonl"));
  EXPECT_THAT(message_of<InputError>([&] { case_of_run(run()); }), HasSubstr("no case.json"));
}

TEST_F(RunFolderTest, GuardsComeBackAsTheyWere) {
  const auto file = folder_ / "guards.json";
  EXPECT_TRUE(read_guards(file).empty());
  write_guards(file, {{"s % 2 == 0  (asked at x.cpp:1)", "s=6", 3, {{"s=1", 2}, {"s=5", 1}}}});
  const std::vector<GuardRecord> guards = read_guards(file);
  ASSERT_EQ(guards.size(), 1u);
  EXPECT_EQ(guards[0].guard, "s % 2 == 0  (asked at x.cpp:1)");
  EXPECT_EQ(guards[0].asked_at, "s=6");
  EXPECT_EQ(guards[0].checked, 3);
  ASSERT_EQ(guards[0].false_at.size(), 2u);
  EXPECT_EQ(guards[0].false_at[1].sizes, "s=5");
  EXPECT_EQ(guards[0].false_at[1].times, 1);
  write(file, R"([{"guard": "g", "asked_at": "s=6", "checked": -1, "false_at": []}])");
  EXPECT_THROW(read_guards(file), InputError);
}

}  // namespace
}  // namespace samebits
