#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/base/stopwatch.h"
#include "harness/dispatch/dispatch_mode.h"
#include "harness/kernels/device_kind.h"
#include "harness/observe/level.h"
#include "harness/observe/observation_clock.h"
#include "harness/observe/site_keeper.h"
#include "harness/observe/step_record.h"
#include "harness/observe/stream.h"
#include "harness/observe/tensor_keeper.h"
#include "harness/observe/tensor_memory.h"
#include "harness/observe/tensor_observation.h"
#include "harness/workload/observer.h"

namespace samebits {

// Writes what an arm's steps show: observations into a stream, costs (wall clock, processor time
// and peak memory of each phase) into the step's record, and there apart from them what observing
// itself took. At level `op` it stands at the top of the dispatcher while it listens, and hears
// samebits::mark, from eager code and from an executing graph alike; of replays it is told.
class StepObserver : public Observer, private DispatchMode {
 public:
  using OnPhase = std::function<void(int64_t step, const std::string& phase)>;

  // `sink` is borrowed and must outlive the observer. `device`: where the arm computes, whose
  // memory is measured. `on_phase` is told of each phase as it begins. `rank`: who observes.
  StepObserver(ObservationSink& sink, Level level, DeviceKind device = DeviceKind::kCpu,
               OnPhase on_phase = {}, int64_t rank = 0)
      : sink_(sink),
        level_(level),
        device_(device),
        on_phase_(std::move(on_phase)),
        rank_(rank),
        clock_(device) {}

  // Is told of every tensor that is observed from here on and, at level `op`, runs every call;
  // borrowed. Of replays it is told nothing.
  void keep_with(TensorKeeper& keeper) { keeper_ = &keeper; }

  // Is told of every tensor that is observed from here on, and of replays; borrowed.
  void keep_with(SiteKeeper& keeper) { site_keeper_ = &keeper; }

  // Bytes that observations may hold at once before they are read and given to the sink, beside the
  // one tensor that is looked at.
  static constexpr int64_t kMemory = int64_t{64} << 20;
  void limit_memory(int64_t bytes) { memory_limit_ = bytes; }

  // Everything from here on belongs to this step.
  void begin_step(int64_t step);
  // At level `op`, hears marks for as long as what it returns lives.
  std::unique_ptr<DispatchModeGuard> listen();
  // Counts the memory of tensors for as long as what it returns lives; null on a card, which counts
  // its own.
  std::unique_ptr<c10::DebugInfoGuard> count_memory() {
    return device_ == DeviceKind::kCuda ? nullptr : memory_.count();
  }
  // Ends the last phase. The record has no witness and no completion.
  StepRecord end_step();

  // After a failure: writes what can still be read.
  void keep_what_was_seen();
  std::string where() const;  // for a person: "step 3, rank 0, train: "

  void begin_phase(const std::string& name) override;
  void observe(const std::string& site, const at::Tensor& value) override;
  void begin_observing() override;
  void end_observing() override;
  bool sees_operators() const override { return level_ == Level::kOp; }
  void observe_replay(const ReplayDigests& digests) override;

 private:
  void call(const c10::OperatorHandle& op, torch::jit::Stack* stack) override;
  void end_phase();
  void add(Unread unread);
  void read_unread();
  const std::string& phase(const std::string& what) const;  // the current one

  ObservationSink& sink_;
  Level level_;
  DeviceKind device_;
  OnPhase on_phase_;
  int64_t rank_;
  TensorKeeper* keeper_ = nullptr;
  SiteKeeper* site_keeper_ = nullptr;
  TensorMemory memory_;
  StepRecord record_;
  std::optional<Stopwatch> stopwatch_;  // of the current phase
  ObservationClock clock_;
  std::vector<Unread> unread_;  // of the current phase
  int64_t unread_bytes_ = 0;
  int64_t memory_limit_ = kMemory;
};

}  // namespace samebits
