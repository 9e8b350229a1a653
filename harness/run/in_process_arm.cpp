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
  } catch (const InputError&) {
    observer.keep_what_was_seen();
    throw;
  } catch (const std::bad_alloc&) {
    throw broken("out of memory");
  }
}

InProcessArm::InProcessArm(const CaseArm& settings, Level level, ObservationSink& sink,
                           Activity& activity, const Checkpoints& checkpoints, World* world)
    : settings_(settings),
      activity_(activity),
      checkpoints_(checkpoints),
      world_(world),
      observer_(
          sink, level, settings.device,
          [this](int64_t step, const std::string& phase) {
            activity_.enter(fmt::format("arm {}, step {}, {}", settings_.name, step, phase));
            if (planter_ != nullptr) planter_->begin_phase(phase);
          },
          world == nullptr ? 0 : world->rank()),
      level_(level) {
  const int64_t first_rank = world == nullptr ? 0 : world->rank();
  const bool is_elsewhere = world != nullptr && settings_.plant.rank != first_rank;
  if (!settings_.plant.is_planted() || is_elsewhere) return;
  planter_ = &own_planter_.emplace(settings_.plant, first_rank);
}

void InProcessArm::keep_sites(std::filesystem::path file) {
  if (settings_.keep.sites.empty()) return;
  const std::string where =
      fmt::format("arm {}: keep, at level {}", settings_.name, to_string(level_));
  observer_.keep_with(site_keeper_.emplace(settings_.keep, where));
  kept_file_ = std::move(file);
}

void InProcessArm::stop() {
  workload_.reset();
  if (site_keeper_) site_keeper_->write(kept_file_);
}

void InProcessArm::count_with(Planter& planter) {
  if (planter_ == nullptr) planter_ = &planter;
}

// Puts the planter on, where there is one.
std::unique_ptr<InProcessArm::Planting> InProcessArm::planting() {
  return planter_ == nullptr ? nullptr : std::make_unique<Planting>(*planter_);
}

void InProcessArm::prepare() {
  activity_.enter(fmt::format("arm {}, building", settings_.name));
  const auto counting = observer_.count_memory();
  const auto planting = this->planting();
  try {
    workload_ = make_workload(settings_, world_);
    next_step_ = checkpoints_.first_step;
    if (next_step_ > 0) workload_->load(read_checkpoint(checkpoints_.folder, next_step_));
  } catch (const c10::Error& error) {
    throw RunError(fmt::format("arm {}, building: {}", settings_.name, error_line(error)));
  }
}

StepRecord InProcessArm::step() {
  const auto planting = this->planting();
  if (planter_ != nullptr) planter_->begin_step(next_step_);
  try {
    StepRecord record = run_step(*workload_, next_step_++, observer_);
    if (planter_ != nullptr) record.planted = planter_->witness();
    record.is_resumed = record.step > 0 && record.step == checkpoints_.first_step;
    return record;
  } catch (const RunError& error) {
    throw RunError(fmt::format("arm {}, {}; its stream is kept", settings_.name, error.what()));
  }
}

void InProcessArm::keep_checkpoint() {
  if (!checkpoints_.is_due(next_step_) || next_step_ == settings_.steps) return;
  const State state = workload_->state();
  if (world_ == nullptr || world_->rank() == 0) {
    write_checkpoint(checkpoints_.folder, next_step_, state);
  }
}

std::vector<GuardRecord> InProcessArm::guards() const { return guards_of(workload_->programs()); }

std::vector<std::string> InProcessArm::saved_graphs() const {
  return saved_graphs_of(workload_->programs());
}

}  // namespace samebits
