#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "harness/observe/computation_recorder.h"

namespace samebits {

// One observation of a run: the how-many-th of its site in its step.
struct ObservationPlace {
  int64_t step = 0;
  std::string phase;
  std::string site;
  int64_t occurrence = 0;
};

// Keeps the tensor that is observed at one place, how it was computed within that step, and the
// tokens of the step.
class TensorKeeper {
 public:
  explicit TensorKeeper(ObservationPlace place) : place_(std::move(place)) {}

  // To be told of every tensor that is observed, in order.
  void see(int64_t step, const std::string& phase, const std::string& site,
           const at::Tensor& value);

  // To be told of each phase as it begins.
  void begin_phase() { calls_.begin_phase(); }

  // To run every call of an operator in between (ComputationRecorder::call).
  void call(int64_t step, const c10::OperatorHandle& op, torch::jit::Stack* stack);

  // After the run. Not known where the place was not seen, as those inside of a replay are not.
  Computation kept() const;

  // The token ids of the step's completions, in order.
  const std::vector<at::Tensor>& completions() const { return completions_; }

 private:
  ObservationPlace place_;
  int64_t seen_ = 0;
  bool is_own_ = false;  // the calls in between are this object's
  ComputationRecorder calls_;
  Computation kept_;
  std::vector<at::Tensor> completions_;
};

}  // namespace samebits
