#include "harness/graph/launched_operators.h"

#include <ATen/WrapDimUtils.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <map>
#include <set>
#include <vector>

#include "harness/dispatch/operator_traits.h"
#include "harness/kernels/cpu/data_movement.h"

namespace samebits {
namespace {

using torch::jit::Stack;

// Made in the arena, like every allocation of a capture.
at::Tensor contiguous_empty(at::IntArrayRef sizes, at::ScalarType dtype) {
  return at::empty(sizes, at::TensorOptions().dtype(dtype));
}

at::Tensor contiguous_copy(const at::Tensor& x) {
  if (x.is_contiguous()) return x;
  at::Tensor copy = contiguous_empty(x.sizes(), x.scalar_type());
  launch_copy(copy, x);
  return copy;
}

bool is_float(at::ScalarType dtype) { return dtype == at::kFloat || dtype == at::kBFloat16; }

// The `count` arguments of the call, first one first.
c10::IValue argument(const Stack& stack, size_t count, size_t index) {
  return stack[stack.size() - count + index];
}

void give(Stack* stack, size_t count, at::Tensor result) {
  torch::jit::drop(*stack, count);
  stack->emplace_back(std::move(result));
}

// clone(self, memory_format)
bool clone(Stack* stack) {
  const at::Tensor x = argument(*stack, 2, 0).toTensor();
  at::Tensor copy = contiguous_empty(x.sizes(), x.scalar_type());
  launch_copy(copy, x);
  give(stack, 2, std::move(copy));
  return true;
}

// _to_copy(self, dtype, layout, device, pin_memory, non_blocking, memory_format)
bool to_copy(Stack* stack) {
  const at::Tensor x = argument(*stack, 7, 0).toTensor();
  const c10::IValue dtype_argument = argument(*stack, 7, 1);
  const at::ScalarType dtype =
      dtype_argument.isNone() ? x.scalar_type() : dtype_argument.toScalarType();
  const c10::IValue device = argument(*stack, 7, 3);
  if (!device.isNone() && !device.toDevice().is_cpu()) return false;
  if (dtype != x.scalar_type() && !(is_float(dtype) && is_float(x.scalar_type()))) return false;
  at::Tensor copy = contiguous_empty(x.sizes(), dtype);
  launch_cast(copy, contiguous_copy(x));
  give(stack, 7, std::move(copy));
  return true;
}

// copy_(self, src, non_blocking)
bool copy_(Stack* stack) {
  const at::Tensor to = argument(*stack, 3, 0).toTensor();
  const at::Tensor from = argument(*stack, 3, 1).toTensor();
  if (to.sizes() != from.sizes() || to.scalar_type() != from.scalar_type()) return false;
  launch_copy(to, from);
  give(stack, 3, to);
  return true;
}

// cat(tensors, dim)
bool cat(Stack* stack) {
  const std::vector<at::Tensor> parts = argument(*stack, 2, 0).toTensorVector();
  if (parts.empty()) return false;
  const int64_t dim = at::maybe_wrap_dim(argument(*stack, 2, 1).toInt(), parts[0].dim());
  std::vector<int64_t> sizes = parts[0].sizes().vec();
  sizes[dim] = 0;
  for (const at::Tensor& part : parts) {
    if (part.dim() != parts[0].dim() || part.scalar_type() != parts[0].scalar_type()) return false;
    sizes[dim] += part.size(dim);
  }
  at::Tensor whole = contiguous_empty(sizes, parts[0].scalar_type());
  int64_t first = 0;
  for (const at::Tensor& part : parts) {
    launch_copy(whole.narrow(dim, first, part.size(dim)), part);
    first += part.size(dim);
  }
  give(stack, 2, std::move(whole));
  return true;
}

// add(self, other, *, alpha)
bool add(Stack* stack) {
  if (!argument(*stack, 3, 1).isTensor()) return false;
  const at::Tensor a = argument(*stack, 3, 0).toTensor();
  const at::Tensor b = argument(*stack, 3, 1).toTensor();
  if (a.sizes() != b.sizes() || a.scalar_type() != b.scalar_type() || !is_float(a.scalar_type()) ||
      !argument(*stack, 3, 2).toScalar().equal(1)) {
    return false;
  }
  at::Tensor sum = contiguous_empty(a.sizes(), a.scalar_type());
  launch_add(sum, contiguous_copy(a), contiguous_copy(b));
  give(stack, 3, std::move(sum));
  return true;
}

// index_select(self, dim, index)
bool index_select(Stack* stack) {
  const at::Tensor x = argument(*stack, 3, 0).toTensor();
  if (x.dim() == 0) return false;
  const int64_t dim = at::maybe_wrap_dim(argument(*stack, 3, 1).toInt(), x.dim());
  const at::Tensor index = argument(*stack, 3, 2).toTensor();
  if (index.dim() != 1 || index.scalar_type() != at::kLong) return false;
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes[dim] = index.size(0);
  at::Tensor rows = contiguous_empty(sizes, x.scalar_type());
  launch_index_select(rows, contiguous_copy(x), dim, contiguous_copy(index));
  give(stack, 3, std::move(rows));
  return true;
}

// index_add_(self, dim, index, source, *, alpha)
bool index_add_(Stack* stack) {
  const at::Tensor x = argument(*stack, 5, 0).toTensor();
  if (x.dim() == 0 || !x.is_contiguous() || !is_float(x.scalar_type())) return false;
  const int64_t dim = at::maybe_wrap_dim(argument(*stack, 5, 1).toInt(), x.dim());
  const at::Tensor index = argument(*stack, 5, 2).toTensor();
  const at::Tensor source = argument(*stack, 5, 3).toTensor();
  if (index.dim() != 1 || index.scalar_type() != at::kLong ||
      source.scalar_type() != x.scalar_type() || !argument(*stack, 5, 4).toScalar().equal(1)) {
    return false;
  }
  launch_index_add(x, dim, contiguous_copy(index), contiguous_copy(source));
  give(stack, 5, x);
  return true;
}

// ones_like(self, dtype, layout, device, pin_memory, memory_format)
bool ones_like(Stack* stack) {
  const at::Tensor x = argument(*stack, 6, 0).toTensor();
  const c10::IValue dtype_argument = argument(*stack, 6, 1);
  const at::ScalarType dtype =
      dtype_argument.isNone() ? x.scalar_type() : dtype_argument.toScalarType();
  const c10::IValue device = argument(*stack, 6, 3);
  if ((!device.isNone() && !device.toDevice().is_cpu()) || !is_float(dtype)) return false;
  at::Tensor ones = contiguous_empty(x.sizes(), dtype);
  launch_ones(ones);
  give(stack, 6, std::move(ones));
  return true;
}

// zero_(self)
bool zero_(Stack* stack) {
  const at::Tensor x = argument(*stack, 1, 0).toTensor();
  if (!x.is_contiguous()) return false;
  launch_zero(x);
  return true;
}

const std::map<std::string, bool (*)(Stack*)>& launched() {
  static const std::map<std::string, bool (*)(Stack*)> operators = {
      {"aten::_to_copy", to_copy},
      {"aten::add", add},
      {"aten::cat", cat},
      {"aten::clone", clone},
      {"aten::copy_", copy_},
      {"aten::zero_", zero_},
      {"aten::index_add_", index_add_},
      {"aten::index_select", index_select},
      {"aten::ones_like", ones_like},
  };
  return operators;
}

// Operators of torch's that touch no element, or only through those of the list above. Ours say it
// of themselves (dispatch/operator_traits.h).
const std::set<std::string>& running() {
  static const std::set<std::string> names = {
      // Views, and what is one where nothing has to be copied.
      "aten::alias", "aten::as_strided", "aten::chunk", "aten::contiguous", "aten::detach",
      "aten::expand", "aten::flatten", "aten::narrow", "aten::permute", "aten::reshape",
      "aten::select", "aten::slice", "aten::split", "aten::squeeze", "aten::t", "aten::to",
      "aten::transpose", "aten::unflatten", "aten::unsqueeze", "aten::view", "aten::_reshape_alias",
      "aten::_unsafe_view",
      // Allocations; zeros fills by zero_.
      "aten::empty", "aten::empty_like", "aten::empty_strided", "aten::new_empty",
      "aten::new_zeros", "aten::zeros", "aten::zeros_like"};
  return names;
}

}  // namespace

OnCapture on_capture(const std::string& name) {
  // On and off a mesh: built of operators that are judged themselves.
  const OperatorTraits traits = traits_of(name);
  if (traits.is_replayable || traits.is_conversion || running().count(name) != 0) {
    return OnCapture::kRuns;
  }
  return launched().count(name) != 0 ? OnCapture::kLaunched : OnCapture::kRefused;
}

bool launched_operator(const std::string& name, torch::jit::Stack* stack) {
  return launched().at(name)(stack);
}

}  // namespace samebits
