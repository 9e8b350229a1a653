#include "harness/run/arm_run.h"

#include <fmt/format.h>

#include <functional>

#include "harness/base/error.h"
#include "harness/observe/run_folder.h"
#include "harness/observe/step_observer.h"
#include "harness/run/in_process_arm.h"
#include "harness/run/run_arm.h"
#include "harness/run/watchdog.h"

namespace samebits {
namespace {

class Collector : public ObservationSink {
 public:
  explicit Collector(std::vector<Observation>& into) : into_(into) {}
  void record(const Observation& each) override { into_.push_back(each); }
  void flush() override {}

 private:
  std::vector<Observation>& into_;
};

// Why `run` did not come to its end; "" where it did. A token that is none is bad input where its
// text is asked for.
std::string broken_by(const std::function<void()>& run) {
  try {
    run();
    return "";
  } catch (const RunError& error) {
    return error.what();
  } catch (const InputError& error) {
    return error.what();
  }
}

}  // namespace

ArmRun run_in_memory(const CaseArm& settings, Planter* counting) {
  ArmRun run;
  run.recording.arm = settings.name;
  run.recording.ranks.emplace_back();
  Activity activity;
  activity.enter(fmt::format("arm {}, planting", settings.name));
  const Watchdog watchdog(settings.timeout_s, activity);
  Collector collector(run.recording.ranks[0].observations);
  InProcessArm arm(settings, Level::kOp, collector, activity, Checkpoints());
  if (counting != nullptr) arm.count_with(*counting);
  run.broke = broken_by([&] {
    arm.prepare();
    for (int64_t step = 0; step < settings.steps; ++step) {
      run.recording.steps.push_back(arm.step());
      if (const auto& planted = run.recording.steps.back().planted) run.witness = planted;
    }
    run.recording.finished = true;
    run.state = arm.state();
  });
  if (!run.broke.empty()) run.witness = arm.witness();
  if (!run.recording.steps.empty() || run.witness) run.recording.guards = arm.guards();
  arm.stop();
  return run;
}

ArmRun run_in_processes(const Case& c, const CaseArm& arm, const std::filesystem::path& folder,
                        Progress& progress) {
  Case alone = select_arms(c, {arm.name});
  alone.arms.front() = arm;
  ArmRun run;
  {
    RunFolder runs = RunFolder::replace(folder, alone);
    const auto recorder = runs.start_arm(arm.name, arm.mesh.processes());
    run.broke =
        broken_by([&] { run_arm(arm, Level::kOp, *recorder, progress, /*launched=*/nullptr); });
    recorder->flush();
  }
  run.recording = read_arm(folder / arm.name);
  std::filesystem::remove_all(folder);
  const auto find_witness = [&](const std::vector<StepRecord>& steps) {
    for (const StepRecord& step : steps) {
      if (step.planted) run.witness = step.planted;
    }
  };
  find_witness(run.recording.steps);
  for (const std::vector<StepRecord>& steps : run.recording.steps_of_others) find_witness(steps);
  return run;
}

}  // namespace samebits
