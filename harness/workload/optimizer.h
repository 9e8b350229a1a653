#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "harness/core/case.h"
#include "harness/model/qwen3.h"

namespace samebits {

// AdamW with gradient accumulation and clipping by the global norm, over the parameters of one
// model. With master weights, gradients are summed and weights are kept in float32 and the model
// gets their rounding; without, both stay in the model's dtype, as in upstream's loop. The moments
// are float32 either way.
class Optimizer {
 public:
  // `model` is borrowed and must outlive the optimizer.
  Optimizer(Qwen3& model, const OptimizerSettings& settings);

  // Adds one sequence's gradients, in the order of the model's parameters, to the sums.
  void accumulate(const std::vector<at::Tensor>& gradients);

  // The norm of the summed gradients: a float32 sum of squares, parameter by parameter.
  float gradient_norm() const;

  // Clips by `norm`, updates the weights and clears the sums.
  void step(float norm);

  // The summed gradients, in the order of the model's parameters.
  const std::vector<at::Tensor>& gradients() const { return gradients_; }

 private:
  struct State {
    at::Tensor master;  // undefined without master weights
    at::Tensor m;
    at::Tensor v;
  };

  Qwen3& model_;
  OptimizerSettings settings_;
  std::vector<at::Tensor> gradients_;
  std::vector<State> states_;
  int64_t steps_ = 0;
};

}  // namespace samebits
