#include "harness/workload/optimizer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "harness/graph/make_pool.h"
#include "harness/kernels/functional.h"

namespace samebits {
namespace {

at::Tensor rounded(const at::Tensor& x, at::ScalarType dtype) {
  return x.scalar_type() == dtype ? x : at::_to_copy(x, x.options().dtype(dtype));
}

std::string state_name(const Decoder& model, size_t parameter, const std::string& name) {
  return "optimizer." + model.parameters()[parameter].name + "." + name;
}

}  // namespace

// No size is symbolic, so there are no guards to keep or to drop.
Optimizer::Optimizer(Decoder& model, const OptimizerSettings& settings, const Mode& mode,
                     int64_t groups, const Replicas& sharded_over)
    : model_(model), settings_(settings), gradient_(model, groups), sharded_over_(sharded_over) {
  ProgramSpec spec{
      "optimizer", model,
      [this](const std::vector<at::Tensor>& inputs) { return update(/*step=*/inputs[0]); },
      /*dynamic_dims=*/{}};
  if (mode.is_replayed()) {
    ReplayForm form;
    form.name = "optimizer step";
    form.inputs = {{at::kLong, /*sizes=*/{}, /*padding=*/{0, 0}}};
    form.call = [](const std::vector<at::Tensor>&) { return std::optional(ReplayCall()); };
    form.pool = make_pool(model.device());
    spec.replays = {std::move(form)};
  }
  program_ = make_executed(mode, std::move(spec));
  const c10::NoGradGuard no_grad;
  for (size_t i = 0; i < model_.parameters().size(); ++i) {
    const at::Tensor& weight = model_.parameters()[i].tensor;
    const at::Tensor& sum = gradient_.whole()[i];
    std::vector<Piece>& pieces = pieces_.emplace_back();
    if (!is_sharded()) {
      pieces.push_back(make_piece(weight, sum));
      continue;
    }
    const std::vector<at::Tensor> weights = sharded_over_.shares_of(weight);
    const std::vector<at::Tensor> sums = sharded_over_.shares_of(sum);
    for (size_t j = 0; j < weights.size(); ++j) pieces.push_back(make_piece(weights[j], sums[j]));
  }
  for (Parameter& parameter : model_.parameters()) parameter.tensor.requires_grad_(true);
}

Optimizer::Piece Optimizer::make_piece(const at::Tensor& weight, const at::Tensor& sum) const {
  Piece piece{weight, sum, {}, {}, {}};
  if (settings_.master) {
    piece.master = weight.detach().to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  }
  const auto moments =
      weight.options().dtype(settings_.state == Dtype::bfloat16 ? at::kBFloat16 : at::kFloat);
  piece.m = at::zeros_like(weight, moments);
  piece.v = at::zeros_like(weight, moments);
  return piece;
}

at::Tensor Optimizer::step() {
  ++steps_;
  const std::vector<at::Tensor> results = program_->run({at::scalar_tensor(steps_, at::kLong)});
  const at::Tensor& norm = results[0];
  clip_scale_ = results[1];
  if (is_sharded()) {
    std::vector<at::Tensor> weights;
    for (const Parameter& parameter : model_.parameters()) weights.push_back(parameter.tensor);
    sharded_over_.gather_shares(weights);
  }
  return norm;
}

// Of each state its parameter, its name and its tensors, one a piece.
template <typename Use>
void Optimizer::for_each_pieces(const Use& use) const {
  const std::pair<const char*, at::Tensor Piece::*> states[] = {
      {"master", &Piece::master}, {"m", &Piece::m}, {"v", &Piece::v}};
  for (size_t i = 0; i < pieces_.size(); ++i) {
    for (const auto& [name, state] : states) {
      std::vector<at::Tensor> tensors;
      for (const Piece& piece : pieces_[i]) tensors.push_back(piece.*state);
      if (tensors[0].defined()) use(i, name, tensors);
    }
  }
}

void Optimizer::for_each_state(const UseState& use) const {
  const c10::NoGradGuard no_grad;
  for_each_pieces([&](size_t parameter, const char* name, const std::vector<at::Tensor>& pieces) {
    if (!is_sharded()) return use(parameter, name, pieces[0]);
    const at::Tensor& weight = model_.parameters()[parameter].tensor;
    const at::Tensor whole = at::zeros_like(weight, pieces[0].options());
    const std::vector<at::Tensor> shares = sharded_over_.shares_of(whole);
    for (size_t i = 0; i < pieces.size(); ++i) shares[i].copy_(pieces[i]);
    sharded_over_.gather_shares({whole});
    use(parameter, name, whole);
  });
}

void Optimizer::add_state(State& state) const {
  state["optimizer.steps"] = at::scalar_tensor(steps_, at::kLong);
  for_each_state([&](size_t parameter, const std::string& name, const at::Tensor& value) {
    state[state_name(model_, parameter, name)] = state_of(model_.parallel(), value);
  });
}

void Optimizer::load(const State& state) {
  const c10::NoGradGuard no_grad;
  const at::Tensor steps = at::scalar_tensor(0, at::kLong);
  load_state(state, "optimizer.steps", model_.parallel(), steps);
  steps_ = steps.item<int64_t>();
  for_each_pieces([&](size_t parameter, const char* kind, const std::vector<at::Tensor>& pieces) {
    const std::string name = state_name(model_, parameter, kind);
    if (!is_sharded()) return load_state(state, name, model_.parallel(), pieces[0]);
    const at::Tensor whole =
        at::zeros_like(model_.parameters()[parameter].tensor, pieces[0].options());
    load_state(state, name, model_.parallel(), whole);
    const std::vector<at::Tensor> shares = sharded_over_.shares_of(whole);
    for (size_t i = 0; i < pieces.size(); ++i) pieces[i].copy_(shares[i]);
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
    for (const Piece& piece : pieces_[i]) {
      const std::optional<at::Tensor> master =
          piece.master.defined() ? std::optional(piece.master) : std::nullopt;
      const at::Tensor gradient = is_sharded() ? rounded(piece.sum, dtype) : gradients[i];
      ops::adamw_(piece.weight, master, piece.m, piece.v, gradient, scale, step, settings_.lr,
                  settings_.betas[0], settings_.betas[1], settings_.eps, settings_.weight_decay);
    }
    gradient_.whole()[i].zero_();
  }
  return {norm, scale};
}

}  // namespace samebits
