#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "harness/execution/program.h"
#include "harness/model/decoder.h"
#include "harness/workload/replicas.h"
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
  // `groups`: of the gradient (step_gradient.h). `sharded_over`: replicas each of which keeps and
  // updates its share of the elements and gives the others the weights of it; borrowed. Without
  // them this one keeps all. No bit depends on it.
  Optimizer(Decoder& model, const OptimizerSettings& settings, const Mode& mode,
            int64_t groups = kGradientGroups, const Replicas& sharded_over = kOneReplica);
  Optimizer(const Optimizer&) = delete;  // its program is a call of this one
  Optimizer& operator=(const Optimizer&) = delete;

  // Where a step's gradient is summed; whole before step().
  StepGradient& gradient() { return gradient_; }
  const StepGradient& gradient() const { return gradient_; }

  // Clips the gradient by its norm, updates the weights and clears the sums. Gives the norm before
  // clipping: float32 []. Collective over the replicas that share the state.
  at::Tensor step();
  // What the last step's gradient was multiplied with to clip it: float32 [].
  const at::Tensor& clip_scale() const { return clip_scale_; }

  // Is given master weights and moments, parameter by parameter: which of the parameters, "master",
  // "m" or "v", and the value, which lies as the parameter does and is whole, whoever keeps it.
  // Collective likewise.
  using UseState =
      std::function<void(size_t parameter, const std::string& name, const at::Tensor& value)>;
  void for_each_state(const UseState& use) const;

  // The same and the number of steps, at optimizer.NAME.
  void add_state(State& state) const;
  void load(const State& state);

  // How steps ran: its counters are named optimizer.*.
  const ExecutedProgram& program() const { return *program_; }

 private:
  // Of one parameter, or of a share of it.
  struct Piece {
    at::Tensor weight;
    at::Tensor sum;     // of its gradient
    at::Tensor master;  // undefined without master weights
    at::Tensor m;
    at::Tensor v;
  };

  bool is_sharded() const { return sharded_over_.size() > 1; }
  Piece make_piece(const at::Tensor& weight, const at::Tensor& sum) const;
  template <typename Use>
  void for_each_pieces(const Use& use) const;
  std::vector<at::Tensor> update(const at::Tensor& step);

  Decoder& model_;
  OptimizerSettings settings_;
  StepGradient gradient_;
  const Replicas& sharded_over_;
  std::vector<std::vector<Piece>> pieces_;  // of each parameter
  int64_t steps_ = 0;
  at::Tensor clip_scale_;
  std::unique_ptr<ExecutedProgram> program_;
};

}  // namespace samebits
