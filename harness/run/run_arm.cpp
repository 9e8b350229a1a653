#include "harness/run/run_arm.h"

#include <fmt/format.h>

#include "harness/base/stopwatch.h"
#include "harness/run/arm.h"
#include "harness/run/watchdog.h"

namespace samebits {

void run_arm(const CaseArm& settings, Level level, ArmRecorder& recorder, Progress& progress) {
  const Stopwatch clock;
  Activity activity;
  activity.enter(fmt::format("arm {}", settings.name));
  const Watchdog watchdog(settings.timeout_s, activity);
  const std::unique_ptr<Arm> arm = make_arm(settings, level, recorder, activity);
  progress.show(settings.name + ": building");
  arm->prepare();
  for (int64_t step = 0; step < settings.steps; ++step) {
    recorder.record_step(arm->step());
    progress.show(fmt::format("{}: step {} of {}, {:.1f} s", settings.name, step + 1,
                              settings.steps, clock.seconds()));
  }
  recorder.record_guards(arm->guards());
  recorder.record_graphs(arm->saved_graphs());
  arm->stop();
  recorder.finish();
}

}  // namespace samebits
