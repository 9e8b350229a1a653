#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_to_copy.h>
#include <ATen/ops/zeros_like.h>
#include <c10/util/Exception.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>

#include "harness/kernels/weight_gradient.h"

// What the backward formulas of the contract list share.
//
// They see tensors of every kind (plain, sharded, symbolic), so they only call operators through
// the dispatcher. Missing gradients stay undefined instead of becoming zeros: zeros would be plain
// tensors where the program's are sharded.
namespace samebits {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// The backward operators have no formula of their own; with create_graph a gradient of a gradient
// would silently be missing.
inline void refuse_second_derivative(const char* op) {
  TORCH_CHECK_NOT_IMPLEMENTED(!at::GradMode::is_enabled(), "samebits::", op,
                              " has no second derivative: run backward without create_graph");
}

// What `into` says, between forward and backward. Not saved_variables: those may not be written in
// between, and a sum is.
inline void save(AutogradContext* ctx, const WeightGradient& into) {
  ctx->saved_data["sum"] = into.sum;
  ctx->saved_data["starts"] = into.starts;
  if (into.tied) ctx->saved_data["tied"] = *into.tied;
}

// The gradient of `weight` for autograd: none where add(starts, sum) brought it where it belongs.
template <typename Add>
at::Tensor weight_gradient(AutogradContext* ctx, const at::Tensor& weight, const Add& add) {
  const at::Tensor starts = ctx->saved_data["starts"].toTensor();
  const std::optional<at::Tensor> boundaries =
      starts.defined() ? std::optional(starts) : std::nullopt;
  const at::Tensor sum = ctx->saved_data["sum"].toTensor();
  if (sum.defined()) {
    add(boundaries, sum);
    return {};
  }
  const at::Tensor whole = at::zeros_like(weight, weight.options().dtype(at::kFloat));
  add(boundaries, whole);
  return at::_to_copy(whole, at::TensorOptions().dtype(weight.scalar_type()));
}

}  // namespace samebits
