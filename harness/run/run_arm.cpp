#include "harness/run/run_arm.h"

#include <fmt/format.h>

#include <optional>

#include "harness/base/stopwatch.h"
#include "harness/observe/run_files.h"
#include "harness/run/arm.h"
#include "harness/run/in_process_arm.h"
#include "harness/run/program_arm.h"
#include "harness/run/ranks_arm.h"
#include "harness/run/watchdog.h"

namespace samebits {

std::unique_ptr<Arm> make_arm(const CaseArm& settings, Level level, ArmRecorder& recorder,
                              Activity& activity, Progress& progress, RankPool* launched) {
  if (settings.is_program()) {
    return std::make_unique<ProgramArm>(settings, level, recorder, activity, progress);
  }
  if (settings.mesh.has_processes()) {
    return std::make_unique<RanksArm>(settings, level, recorder, activity, launched);
  }
  auto arm = std::make_unique<InProcessArm>(settings, level, recorder.sink(0), activity,
                                            checkpoints_of(settings, recorder));
  arm->keep_sites(run_files::kept(recorder.folder(), 0));
  return arm;
}

void run_arm(const CaseArm& settings, Level level, ArmRecorder& recorder, Progress& progress,
             RankPool* launched) {
  const Stopwatch clock;
  Activity activity;
  activity.enter(fmt::format("arm {}", settings.name));
  std::optional<Watchdog> watchdog;  // another program is ended by itself (program_run.h)
  if (!settings.is_program()) watchdog.emplace(settings.timeout_s, activity);
  const std::unique_ptr<Arm> arm =
      make_arm(settings, level, recorder, activity, progress, launched);
  progress.show(settings.name + ": building");
  arm->prepare();
  const auto run_steps = [&] {
    for (int64_t step = recorder.first_step(); step < arm->steps(); ++step) {
      recorder.record_step(arm->step());
      arm->keep_checkpoint();
      if (settings.is_program()) continue;  // its steps are over
      progress.show(fmt::format("{}: step {} of {}, {:.1f} s", settings.name, step + 1,
                                arm->steps(), clock.seconds()));
    }
  };
  try {
    run_steps();
  } catch (...) {
    // What broke may have run where a guard was false. Ranks elsewhere may not answer any more.
    if (!settings.mesh.has_processes()) recorder.record_guards(arm->guards());
    throw;
  }
  recorder.record_guards(arm->guards());
  recorder.record_graphs(arm->saved_graphs());
  arm->stop();
  recorder.finish();
}

}  // namespace samebits
