#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/base/stopwatch.h"
#include "harness/case/case.h"
#include "harness/dispatch/dispatch_mode.h"
#include "harness/observe/step_record.h"
#include "harness/observe/stream.h"
#include "harness/observe/tensor_observation.h"
#include "harness/workload/observer.h"
#include "harness/workload/workload.h"

namespace samebits {

// How much is observed: `step` what a workload tells of itself; `op` also every value that the
// model marks, which is the output of each of its operators.
enum class Level { kStep, kOp };

// Runs one arm's steps and writes what they show: observations into a stream, costs (wall clock,
// processor time and, on a card, peak memory of each phase) into the step's record. At level `op`
// it stands at the top of the dispatcher during a step and listens to samebits::mark, from eager
// code and from an executing graph alike; of replays it is told.
class StepObserver : public Observer, private DispatchMode {
 public:
  using OnPhase = std::function<void(int64_t step, const std::string& phase)>;

  // `sink` is borrowed and must outlive the observer. `device`: where the arm computes; of a card
  // the memory that tensors take is measured. `on_phase` is told of each phase as it begins.
  StepObserver(ObservationSink& sink, Level level, DeviceKind device = DeviceKind::kCpu,
               OnPhase on_phase = {})
      : sink_(sink), level_(level), device_(device), on_phase_(std::move(on_phase)) {}

  // Runs one step of `workload`. What goes wrong in it is a RunError in one line that names step,
  // rank and phase, and of a card's failure the operator; bad input stays InputError.
  StepRecord run(Workload& workload, int64_t step);

  void begin_phase(const std::string& name) override;
  void observe(const std::string& site, const at::Tensor& value) override;
  bool sees_operators() const override { return level_ == Level::kOp; }
  void observe_replay(const ReplayDigests& digests) override;

 private:
  void call(const c10::OperatorHandle& op, torch::jit::Stack* stack) override;
  void end_phase();
  void read_unread();
  void keep_what_was_seen();
  const std::string& phase(const std::string& what) const;  // the current one
  std::string where() const;                                // for a person

  ObservationSink& sink_;
  Level level_;
  DeviceKind device_;
  OnPhase on_phase_;
  StepRecord record_;
  std::optional<Stopwatch> stopwatch_;  // of the current phase
  std::vector<Unread> unread_;          // of the current phase
};

}  // namespace samebits
