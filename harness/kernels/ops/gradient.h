#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>
#include <torch/csrc/autograd/custom_function.h>

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

}  // namespace samebits
