#include "harness/run/run_arm.h"

#include <fmt/format.h>

#include "harness/base/error.h"
#include "harness/base/stopwatch.h"
#include "harness/dispatch/device_error.h"
#include "harness/run/watchdog.h"
#include "harness/workload/workload.h"

namespace samebits {
namespace {

std::unique_ptr<Workload> build(const Arm& arm) {
  try {
    return make_workload(arm);
  } catch (const c10::Error& error) {
    throw RunError(fmt::format("arm {}, building: {}", arm.name, error_line(error)));
  }
}

StepRecord run_step(const Arm& arm, Workload& workload, int64_t step, StepObserver& observer) {
  try {
    return observer.run(workload, step);
  } catch (const RunError& error) {
    throw RunError(fmt::format("arm {}, {}; its stream is kept", arm.name, error.what()));
  }
}

}  // namespace

void run_arm(const Arm& arm, Level level, ArmRecorder& recorder, Progress& progress) {
  const Stopwatch clock;
  Activity activity;
  activity.enter(fmt::format("arm {}, building", arm.name));
  const Watchdog watchdog(arm.timeout_s, activity);
  progress.show(arm.name + ": building");
  const std::unique_ptr<Workload> workload = build(arm);
  StepObserver observer(recorder.sink(0), level, arm.device,
                        [&](int64_t step, const std::string& phase) {
                          activity.enter(fmt::format("arm {}, step {}, {}", arm.name, step, phase));
                        });
  for (int64_t step = 0; step < arm.steps; ++step) {
    recorder.record_step(run_step(arm, *workload, step, observer));
    progress.show(
        fmt::format("{}: step {} of {}, {:.1f} s", arm.name, step + 1, arm.steps, clock.seconds()));
  }
  recorder.record_guards(workload->guards());
  recorder.record_graphs(workload->saved_graphs());
  recorder.finish();
}

}  // namespace samebits
