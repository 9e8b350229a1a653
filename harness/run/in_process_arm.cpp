#include "harness/run/in_process_arm.h"

#include <fmt/format.h>

#include <new>

#include "harness/base/error.h"
#include "harness/dispatch/device_error.h"

namespace samebits {

StepRecord run_step(Workload& workload, int64_t step, StepObserver& observer) {
  const auto broken = [&](const std::string& what) {
    observer.keep_what_was_seen();
    return RunError(observer.where() + what);
  };
  const auto counting = observer.count_memory();
  const Counters before = counters_of(workload.programs());
  observer.begin_step(step);
  try {
    std::string completion;
    {
      const auto listening = observer.listen();
      completion = workload.step(step, observer);
    }
    StepRecord record = observer.end_step();
    record.completion = std::move(completion);
    record.witness = growth_of(before, counters_of(workload.programs()));
    return record;
  } catch (const c10::Error& error) {
    throw broken(error_line(error));
  } catch (const RunError& error) {
    throw broken(error.what());
  } catch (const std::bad_alloc&) {
    throw broken("out of memory");
  }
}

InProcessArm::InProcessArm(const CaseArm& settings, Level level, ArmRecorder& recorder,
                           Activity& activity)
    : settings_(settings),
      activity_(activity),
      observer_(recorder.sink(0), level, settings.device,
                [this](int64_t step, const std::string& phase) {
                  activity_.enter(fmt::format("arm {}, step {}, {}", settings_.name, step, phase));
                }) {}

void InProcessArm::prepare() {
  activity_.enter(fmt::format("arm {}, building", settings_.name));
  const auto counting = observer_.count_memory();
  try {
    workload_ = make_workload(settings_);
  } catch (const c10::Error& error) {
    throw RunError(fmt::format("arm {}, building: {}", settings_.name, error_line(error)));
  }
}

StepRecord InProcessArm::step() {
  try {
    return run_step(*workload_, next_step_++, observer_);
  } catch (const RunError& error) {
    throw RunError(fmt::format("arm {}, {}; its stream is kept", settings_.name, error.what()));
  }
}

std::vector<GuardRecord> InProcessArm::guards() const { return guards_of(workload_->programs()); }

std::vector<std::string> InProcessArm::saved_graphs() const {
  return saved_graphs_of(workload_->programs());
}

std::unique_ptr<Arm> make_arm(const CaseArm& settings, Level level, ArmRecorder& recorder,
                              Activity& activity) {
  return std::make_unique<InProcessArm>(settings, level, recorder, activity);
}

}  // namespace samebits
