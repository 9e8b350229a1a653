// Arms that were cut off go on from what they kept, at the same layout of ranks or at another.
#include "harness/run/checkpoint.h"

#include <gmock/gmock.h>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/observe/run_files.h"
#include "harness/observe/run_folder.h"
#include "harness/run/arm.h"
#include "harness/run/origin.h"
#include "tests/run/support.h"

namespace samebits {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Checkpoint : public testing::Run {
 protected:
  Case case_of(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> overrides = {"steps=4", "checkpoint_every=2"};
    overrides.insert(overrides.end(), more.begin(), more.end());
    return small_case(overrides);
  }

  // Arm a, for `steps` steps of the case, as a run that is killed leaves it.
  void cut_off(const Case& c, int64_t steps) const {
    RunFolder folder = RunFolder::create(options().out, c, origin_of(c, Level::kStep));
    const std::unique_ptr<ArmRecorder> recorder = folder.start_arm("a");
    Activity activity;
    Progress progress(/*is_terminal=*/false);
    const auto arm = make_arm(c.arm("a"), Level::kStep, *recorder, activity, progress,
                              /*launched=*/nullptr);
    arm->prepare();
    for (int64_t step = 0; step < steps; ++step) {
      recorder->record_step(arm->step());
      arm->keep_checkpoint();
    }
  }

  std::string stream(const std::string& arm) const {
    return read_text_file(run_files::stream(options().out / arm, /*rank=*/0).string());
  }
  std::filesystem::path kept() const { return run_files::checkpoint(options().out / "a", 2); }
};

TEST_F(Checkpoint, AnArmGoesOnFromItAtAnyLayout) {
  for (const std::string layout : {"1", "2", "8"}) {
    cut_off(case_of(), /*steps=*/3);
    ASSERT_TRUE(std::filesystem::exists(kept()));
    const ReportRecord record = run(case_of({"a.mesh.tp=" + layout}), options(Existing::kResume));
    EXPECT_TRUE(record.holds) << "TP " << layout << ": " << record.headline;
    EXPECT_EQ(stream("a"), stream("b")) << "TP " << layout;
    EXPECT_THAT(record.arms[0].resumed_at, ElementsAre(2));
    EXPECT_TRUE(record.arms[1].resumed_at.empty());
    EXPECT_FALSE(std::filesystem::exists(kept())) << "nothing is to be taken up any more";
    std::filesystem::remove_all(options().out);
  }
}

TEST_F(Checkpoint, WithoutOneAnArmStartsFromItsFirstStep) {
  for (const Case& c : {case_of({"checkpoint_every=0"}), case_of({"checkpoint_every=3"})}) {
    cut_off(c, /*steps=*/2);
    const ReportRecord record = run(c, options(Existing::kResume));
    EXPECT_TRUE(record.holds) << record.headline;
    EXPECT_TRUE(record.arms[0].resumed_at.empty());
    std::filesystem::remove_all(options().out);
  }
}

// What a checkpoint holds decides the steps after it.
TEST_F(Checkpoint, AWrongBitInItIsSeen) {
  cut_off(case_of(), /*steps=*/3);
  State state = read_checkpoint(options().out / "a", 2);
  state.at("optimizer.model.norm.weight.master").view({-1})[0] += 0.5;
  write_checkpoint(options().out / "a", 2, state);
  const std::string message =
      testing::message_of<RunError>([&] { run(case_of(), options(Existing::kResume)); });
  EXPECT_THAT(message, HasSubstr("the replay parted from what had been recorded"));
}

TEST_F(Checkpoint, ABrokenFileIsOneLine) {
  cut_off(case_of(), /*steps=*/3);
  State state = read_checkpoint(options().out / "a", 2);
  state.erase("optimizer.steps");
  write_checkpoint(options().out / "a", 2, state);
  const std::string missing =
      testing::message_of<InputError>([&] { run(case_of(), options(Existing::kResume)); });
  EXPECT_THAT(missing, HasSubstr("a checkpoint: found no optimizer.steps"));

  std::filesystem::resize_file(kept(), 100);
  const std::string cut =
      testing::message_of<InputError>([&] { run(case_of(), options(Existing::kResume)); });
  EXPECT_THAT(cut, HasSubstr("checkpoint-2.safetensors"));
}

TEST_F(Checkpoint, AnotherCaseIsNotTakenUp) {
  cut_off(case_of(), /*steps=*/2);
  const std::string message = testing::message_of<InputError>(
      [&] { run(case_of({"a.seed=7"}), options(Existing::kResume)); });
  EXPECT_THAT(message, HasSubstr("a run of another case"));
}

}  // namespace
}  // namespace samebits
