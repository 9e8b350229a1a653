#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>

#include <string>
#include <vector>

#include "harness/capture/ir/graph.h"

namespace samebits {

// What an operator would give for tensors of which only shapes, dtypes and placements are known.
// Plain tensors are fake ones (kernels/fake_tensor.h); a DTensor without locals stands for a
// DTensor (dispatch/distributed_tensors.h).

// A tensor without data like `example`, a plain one or a DTensor, with these (global) sizes.
at::Tensor make_abstract_like(const at::Tensor& example, c10::SymIntArrayRef sizes);

// Whether a tensor has no data because it was made here.
bool is_abstract(const at::Tensor& tensor);

// "S(2)", "R": the placements of a DTensor; "" for a plain tensor.
std::string placements_text(const at::Tensor& tensor);

// What a graph keeps of such a tensor; its sizes are of `env`.
ir::ValueMeta meta_of(const at::Tensor& tensor, const ShapeEnv& env);

// Whether the operator's one return is a list of tensors.
bool returns_tensor_list(const c10::OperatorHandle& op);

// The results of one call, in schema order; the elements of the list where it returns one. A return
// that is an argument written in place is that argument. Refuses operators that have no rule, whose
// sizes or non-tensor results depend on data, or that change the shape of an argument in place.
std::vector<at::Tensor> abstract_call(const c10::OperatorHandle& op,
                                      const std::vector<c10::IValue>& args);

}  // namespace samebits
