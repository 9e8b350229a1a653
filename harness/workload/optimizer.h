#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "harness/execution/program.h"
#include "harness/model/decoder.h"
#include "harness/workload/settings.h"

namespace samebits {

// AdamW with gradient accumulation and clipping by the global norm, over the parameters of one
// model. With master weights, gradients are summed and weights are kept in float32 and the model
// gets their rounding; without, both stay in the model's dtype, as in upstream's loop, where the
// moments are of that dtype too: OptimizerSettings::state.
//
// A step is one program: the norm of the sums, the scale that clips by it, the update of every
// parameter, and the clearing of the sums. It runs as its own operators or from the graph that was
// captured of them. Accumulation is not part of it: it belongs to the backward that gives the
// gradients, and to that one's graph (trainer.h).
class Optimizer {
 public:
  // `model` is borrowed and must outlive the optimizer; its parameters will require gradients.
  Optimizer(Decoder& model, const OptimizerSettings& settings, const Mode& mode);
  Optimizer(const Optimizer&) = delete;  // its program is a call of this one
  Optimizer& operator=(const Optimizer&) = delete;

  // Adds one sequence's gradients, in the order of the model's parameters, to the sums.
  void accumulate(const std::vector<at::Tensor>& gradients);

  // Clips the summed gradients by their norm, updates the weights and clears the sums. Gives the
  // norm before clipping: float32 [].
  at::Tensor step();

  // The summed gradients, in the order of the model's parameters.
  const std::vector<at::Tensor>& gradients() const { return gradients_; }

  // How steps ran: its counters are named optimizer.*.
  const ExecutedProgram& program() const { return *program_; }

 private:
  struct State {
    at::Tensor master;  // undefined without master weights
    at::Tensor m;
    at::Tensor v;
  };

  std::vector<at::Tensor> update(const at::Tensor& step);

  Decoder& model_;
  OptimizerSettings settings_;
  std::vector<at::Tensor> gradients_;
  std::vector<State> states_;
  int64_t steps_ = 0;
  std::unique_ptr<ExecutedProgram> program_;
};

}  // namespace samebits
