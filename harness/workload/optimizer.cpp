#include "harness/workload/optimizer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "harness/kernels/functional.h"

namespace samebits {
namespace {

at::Tensor rounded(const at::Tensor& x, at::ScalarType dtype) {
  return x.scalar_type() == dtype ? x : at::_to_copy(x, x.options().dtype(dtype));
}

}  // namespace

// No size is symbolic, so there are no guards to keep or to drop.
Optimizer::Optimizer(Decoder& model, const OptimizerSettings& settings, const Mode& mode,
                     int64_t groups)
    : model_(model),
      settings_(settings),
      gradient_(model, groups),
      program_(make_executed(mode, {"optimizer", model,
                                    [this](const std::vector<at::Tensor>& inputs) {
                                      return update(/*step=*/inputs[0]);
                                    },
                                    /*dynamic_dims=*/{}})) {
  const c10::NoGradGuard no_grad;
  for (Parameter& parameter : model_.parameters()) {
    const at::Tensor& weight = parameter.tensor;
    Moments state;
    if (settings.master)
      state.master = weight.detach().to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
    const auto moments =
        weight.options().dtype(settings.state == Dtype::bfloat16 ? at::kBFloat16 : at::kFloat);
    state.m = at::zeros_like(weight, moments);
    state.v = at::zeros_like(weight, moments);
    states_.push_back(std::move(state));
  }
  for (Parameter& parameter : model_.parameters()) parameter.tensor.requires_grad_(true);
}

at::Tensor Optimizer::step() {
  ++steps_;
  return program_->run({at::scalar_tensor(steps_, at::kLong)})[0];
}

template <typename Use>
void Optimizer::for_each_state(const Use& use) const {
  for (size_t i = 0; i < states_.size(); ++i) {
    const std::string name = "optimizer." + model_.parameters()[i].name;
    if (states_[i].master.defined()) use(name + ".master", states_[i].master);
    use(name + ".m", states_[i].m);
    use(name + ".v", states_[i].v);
  }
}

void Optimizer::add_state(State& state) const {
  state["optimizer.steps"] = at::scalar_tensor(steps_, at::kLong);
  for_each_state([&](const std::string& name, const at::Tensor& value) {
    state[name] = state_of(model_.parallel(), value);
  });
}

void Optimizer::load(const State& state) {
  const at::Tensor steps = at::scalar_tensor(0, at::kLong);
  load_state(state, "optimizer.steps", model_.parallel(), steps);
  steps_ = steps.item<int64_t>();
  for_each_state([&](const std::string& name, const at::Tensor& value) {
    load_state(state, name, model_.parallel(), value);
  });
}

// What a graph must not freeze, the step and what follows from the gradients, is a tensor here.
std::vector<at::Tensor> Optimizer::update(const at::Tensor& step) {
  const c10::NoGradGuard no_grad;
  const bool sliced = model_.numerics().tp_invariant;
  const at::ScalarType dtype = settings_.master ? at::kFloat : model_.numerics().dtype;
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& sum : gradient_.whole()) gradients.push_back(rounded(sum, dtype));
  std::vector<at::Tensor> squares;
  for (size_t i = 0; i < gradients.size(); ++i) {
    const std::optional<int64_t> dim = model_.parameters()[i].shard_dim;
    const int64_t slice = dim && sliced ? gradients[i].size(*dim) / Numerics::kSlices : 0;
    const at::Tensor square = ops::sum_squares(gradients[i], dim.value_or(0), slice);
    squares.push_back(model_.parallel().to_plain(square));
  }
  const auto [norm, scale] = ops::clip_scale(squares, settings_.clip_norm);
  for (size_t i = 0; i < gradients.size(); ++i) {
    const Moments& state = states_[i];
    const std::optional<at::Tensor> master =
        state.master.defined() ? std::optional(state.master) : std::nullopt;
    ops::adamw_(model_.parameters()[i].tensor, master, state.m, state.v, gradients[i], scale, step,
                settings_.lr, settings_.betas[0], settings_.betas[1], settings_.eps,
                settings_.weight_decay);
    gradient_.whole()[i].zero_();
  }
  return {norm};
}

}  // namespace samebits
