#include "harness/workload/optimizer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

#include "harness/kernels/functional.h"

namespace samebits {

Optimizer::Optimizer(Qwen3& model, const OptimizerSettings& settings)
    : model_(model), settings_(settings) {
  const c10::NoGradGuard no_grad;
  for (Parameter& parameter : model_.parameters()) {
    const at::Tensor& weight = parameter.tensor;
    const at::ScalarType sums = settings.master ? at::kFloat : model_.numerics().dtype;
    State state;
    if (settings.master)
      state.master = weight.detach().to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
    state.m = at::zeros_like(weight, weight.options().dtype(at::kFloat));
    state.v = at::zeros_like(weight, weight.options().dtype(at::kFloat));
    states_.push_back(std::move(state));
    gradients_.push_back(at::zeros_like(weight, weight.options().dtype(sums)));
  }
  for (Parameter& parameter : model_.parameters()) parameter.tensor.requires_grad_(true);
}

void Optimizer::accumulate(const std::vector<at::Tensor>& gradients) {
  const c10::NoGradGuard no_grad;
  for (size_t i = 0; i < gradients_.size(); ++i) gradients_[i].add_(gradients.at(i));
}

float Optimizer::gradient_norm() const {
  const c10::NoGradGuard no_grad;
  const bool sliced = model_.numerics().tp_invariant;
  float sum = 0.0f;
  for (size_t i = 0; i < gradients_.size(); ++i) {
    const std::optional<int64_t> dim = model_.parameters()[i].shard_dim;
    const int64_t slice = dim && sliced ? gradients_[i].size(*dim) / Numerics::kSlices : 0;
    const at::Tensor squares = ops::sum_squares(gradients_[i], dim.value_or(0), slice);
    sum += model_.parallel().to_plain(squares).item<float>();
  }
  return std::sqrt(sum);
}

void Optimizer::step(float norm) {
  const c10::NoGradGuard no_grad;
  ++steps_;
  // torch.nn.utils.clip_grad_norm_: the epsilon keeps a zero norm finite.
  const float scale = std::min(1.0f, static_cast<float>(settings_.clip_norm) / (norm + 1e-6f));
  for (size_t i = 0; i < gradients_.size(); ++i) {
    State& state = states_[i];
    const std::optional<at::Tensor> master =
        state.master.defined() ? std::optional(state.master) : std::nullopt;
    ops::adamw_(model_.parameters()[i].tensor, master, state.m, state.v, gradients_[i], scale,
                settings_.lr, settings_.beta1, settings_.beta2, settings_.eps,
                settings_.weight_decay, steps_);
    gradients_[i].zero_();
  }
}

}  // namespace samebits
