#include "harness/observe/step_observer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "harness/capture/abstract_call.h"
#include "harness/graph/operator_watch.h"
#include "harness/kernels/device.h"
#include "harness/observe/tensor_observation.h"

namespace samebits {

void StepObserver::begin_step(int64_t step) {
  record_ = {};
  record_.step = step;
  record_.observation.emplace().level = level_;
}

std::unique_ptr<DispatchModeGuard> StepObserver::listen() {
  if (level_ != Level::kOp) return nullptr;
  return std::make_unique<DispatchModeGuard>(static_cast<DispatchMode&>(*this));
}

StepRecord StepObserver::end_step() {
  end_phase();
  return std::move(record_);
}

std::string StepObserver::where() const {
  return fmt::format("step {}, rank {}, {}: ", record_.step, rank_,
                     record_.phases.empty() ? "before any phase" : record_.phases.back().phase);
}

void StepObserver::begin_phase(const std::string& name) {
  end_phase();
  record_.phases.emplace_back();
  record_.phases.back().phase = name;
  if (on_phase_) on_phase_(record_.step, name);
  if (keeper_ != nullptr) keeper_->begin_phase();
  memory_.reset_peak();
  if (device_ == DeviceKind::kCuda) reset_peak_device_memory();
  stopwatch_.emplace();
}

void StepObserver::end_phase() {
  if (!stopwatch_) return;
  if (device_ == DeviceKind::kCuda) wait_for_device();  // the phase's time is all of its work
  PhaseCost& cost = record_.phases.back();
  const double seconds = stopwatch_->seconds();
  const double processor_seconds = stopwatch_->processor_seconds();
  stopwatch_.reset();
  cost.peak_bytes = device_ == DeviceKind::kCuda ? peak_device_memory() : memory_.peak();
  const ObservationClock::Times within = clock_.take();
  cost.seconds = std::max(seconds - within.seconds, 0.0);
  cost.processor_seconds = std::max(processor_seconds - within.processor_seconds, 0.0);
  const Stopwatch after;
  read_unread();
  sink_.flush();  // a step that hangs later leaves this phase on record
  ObservationCost& looking = *record_.observation;
  looking.seconds += within.seconds + after.seconds();
  looking.processor_seconds += within.processor_seconds + after.processor_seconds();
}

const std::string& StepObserver::phase(const std::string& what) const {
  TORCH_CHECK(!record_.phases.empty(), what, " was observed before any phase began");
  return record_.phases.back().phase;
}

void StepObserver::observe(const std::string& site, const at::Tensor& value) {
  if (level_ == Level::kNone) return;
  const Observing observing(*this);
  const OperatorWatchPause pause;  // what it takes to observe is no part of the program
  if (keeper_ != nullptr) keeper_->see(record_.step, phase(site), site, value);
  if (site_keeper_ != nullptr) site_keeper_->see(record_.step, phase(site), site, value);
  add(begin_observation(record_.step, phase(site), rank_, site, value));
}

void StepObserver::observe_replay(const ReplayDigests& digests) {
  const Observing observing(*this);
  for (const passes::Mark& mark : *digests.marks) {
    if (site_keeper_ != nullptr) site_keeper_->pass(record_.step, phase("a replay"), mark.site);
  }
  add(UnreadReplay{record_.step, phase("a replay"), rank_, digests});
}

void StepObserver::begin_observing() {
  if (clock_.start()) memory_.count_apart(true);
}

void StepObserver::end_observing() {
  if (!clock_.stop()) return;
  memory_.count_apart(false);
  int64_t& peak = record_.observation->peak_bytes;
  peak = std::max(peak, unread_bytes_ + memory_.peak_apart());
}

void StepObserver::add(Unread unread) {
  unread_bytes_ += held_bytes(unread);
  unread_.push_back(std::move(unread));
  int64_t& peak = record_.observation->peak_bytes;
  peak = std::max(peak, unread_bytes_);
  // Every rank of a mesh has the same to read, so all of them come here at the same observation.
  if (unread_bytes_ > memory_limit_) read_unread();
}

void StepObserver::read_unread() {
  const OperatorWatchPause pause;
  for (const Observation& observation : read_observations(std::exchange(unread_, {}))) {
    sink_.record(observation);
    ++record_.observation->observations;
  }
  unread_bytes_ = 0;
}

void StepObserver::keep_what_was_seen() {
  std::erase_if(unread_, needs_other_ranks);  // which are elsewhere, or gone
  try {
    read_unread();
  } catch (const c10::Error&) {
    unread_.clear();  // a card that failed may not answer any more; what went wrong first is told
  }
}

void StepObserver::call(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  static const c10::OperatorName mark("samebits::mark", "");
  // A tracer below autograd wants the marks of what it traces; there is no value to see yet.
  if (op.operator_name() != mark || is_abstract(torch::jit::peek(*stack, 0, 2).toTensor())) {
    keeper_ == nullptr ? op.callBoxed(stack) : keeper_->call(record_.step, op, stack);
    return;
  }
  const std::string site = torch::jit::pop(*stack).toStringRef();
  const at::Tensor value = torch::jit::pop(*stack).toTensor();
  observe(site, value);
}

}  // namespace samebits
