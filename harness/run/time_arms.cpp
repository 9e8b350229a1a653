#include "harness/run/time_arms.h"

#include <fmt/format.h>

#include "harness/run/in_process_arm.h"
#include "harness/run/watchdog.h"

namespace samebits {
namespace {

class Nowhere : public ObservationSink {
 public:
  void record(const Observation&) override {}
  void flush() override {}
};

TimedRun timed(const CaseArm& settings, int64_t round) {
  Activity activity;
  activity.enter(fmt::format("arm {}, timed", settings.name));
  const Watchdog watchdog(settings.timeout_s, activity);
  Nowhere nowhere;
  InProcessArm arm(settings, Level::kNone, nowhere, activity, Checkpoints());
  arm.prepare();
  TimedRun run{settings.name, round, {}, {}};
  for (int64_t step = 0; step < settings.steps; ++step) {
    const StepRecord record = arm.step();
    if (step == 0) continue;
    double& seconds = run.seconds.emplace_back(0);
    double& processor_seconds = run.processor_seconds.emplace_back(0);
    for (const PhaseCost& phase : record.phases) {
      seconds += phase.seconds;
      processor_seconds += phase.processor_seconds;
    }
  }
  arm.stop();
  return run;
}

}  // namespace

std::vector<const CaseArm*> arms_to_time(const Case& c) {
  std::vector<const CaseArm*> arms;
  for (const CaseArm& arm : c.arms) {
    if (!arm.is_program() && !arm.mesh.has_processes() && arm.steps > 1) arms.push_back(&arm);
  }
  return arms;
}

std::vector<TimedRun> time_arms(const Case& c, int64_t rounds, Progress& progress) {
  const std::vector<const CaseArm*> arms = arms_to_time(c);
  std::vector<TimedRun> times;
  for (int64_t round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < arms.size(); ++i) {
      const CaseArm& arm = *arms[(static_cast<size_t>(round) + i) % arms.size()];
      progress.show(fmt::format("times, round {} of {}: {}", round + 1, rounds, arm.name));
      times.push_back(timed(arm, round));
    }
  }
  return times;
}

}  // namespace samebits
