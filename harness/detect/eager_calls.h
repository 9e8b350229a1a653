#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>

#include <string>
#include <vector>

#include "harness/capture/tracer.h"

namespace samebits {

// One operator call that a program made.
struct EagerCall {
  c10::OperatorHandle op;
  std::string name;  // with its overload
  std::vector<c10::IValue> args;
  std::vector<at::Tensor> results;  // the tensors among the returns, lists flattened
};

// Runs a program eagerly, without autograd, and keeps the calls that it makes: whole operators, not
// what their kernels call. A program that throws leaves the calls up to the one that failed, which
// comes last and has no results.
std::vector<EagerCall> eager_calls(const Program& program, const std::vector<at::Tensor>& inputs);

// The tensors among values, lists flattened, undefined ones skipped.
std::vector<at::Tensor> tensors_in(c10::ArrayRef<c10::IValue> values);

// A tensor itself, or the locals of a DTensor.
std::vector<at::Tensor> parts_of(const at::Tensor& tensor);

// Whether an operator leads on or off a mesh, or changes the placement: from_local, redistribute,
// to_local, full_tensor. They have rules of their own.
bool crosses_meshes(const EagerCall& call);

}  // namespace samebits
