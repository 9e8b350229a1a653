#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "harness/execution/program.h"
#include "harness/model/decoder.h"
#include "harness/workload/settings.h"
#include "harness/workload/state.h"
#include "harness/workload/step_gradient.h"

namespace samebits {

// AdamW with clipping by the global norm, over the parameters of one model and the gradient of a
// step. With master weights, weights are kept in float32 and the model gets their rounding;
// without, they and the gradient are of the model's dtype, as in upstream's loop, where the moments
// are of that dtype too: OptimizerSettings::state.
//
// A step is one program: the norm of the gradient, the scale that clips by it, the update of every
// parameter, and the clearing of the sums. It runs as its own operators or from the graph that was
// captured of them. Summing is not part of it: it belongs to the backward that gives the
// gradients, and to that one's graph (trainer.h).
class Optimizer {
 public:
  // `model` is borrowed and must outlive the optimizer; its parameters will require gradients.
  // `groups`: of the gradient (step_gradient.h).
  Optimizer(Decoder& model, const OptimizerSettings& settings, const Mode& mode,
            int64_t groups = kGradientGroups);
  Optimizer(const Optimizer&) = delete;  // its program is a call of this one
  Optimizer& operator=(const Optimizer&) = delete;

  // Where a step's gradient is summed; whole before step().
  StepGradient& gradient() { return gradient_; }
  const StepGradient& gradient() const { return gradient_; }

  // Clips the gradient by its norm, updates the weights and clears the sums. Gives the norm before
  // clipping: float32 [].
  at::Tensor step();

  // Master weights, moments and the number of steps, at optimizer.NAME.
  void add_state(State& state) const;
  void load(const State& state);

  // How steps ran: its counters are named optimizer.*.
  const ExecutedProgram& program() const { return *program_; }

 private:
  struct Moments {
    at::Tensor master;  // undefined without master weights
    at::Tensor m;
    at::Tensor v;
  };

  template <typename Use>
  void for_each_state(const Use& use) const;
  std::vector<at::Tensor> update(const at::Tensor& step);

  Decoder& model_;
  OptimizerSettings settings_;
  StepGradient gradient_;
  std::vector<Moments> states_;
  int64_t steps_ = 0;
  std::unique_ptr<ExecutedProgram> program_;
};

}  // namespace samebits
