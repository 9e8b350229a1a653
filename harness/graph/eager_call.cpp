#include "harness/graph/eager_call.h"

#include <ATen/ops/from_blob.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "harness/core/error.h"

namespace samebits {
namespace {

// The same memory, without a share in it.
at::Tensor unowned(const at::Tensor& x) {
  return at::from_blob(const_cast<void*>(x.const_data_ptr()), x.sizes(), x.strides(),
                       at::TensorOptions().dtype(x.scalar_type()));
}

}  // namespace

EagerCall::EagerCall(const c10::OperatorHandle& op, const torch::jit::Stack& stack,
                     const std::vector<at::Tensor>& inputs, const std::vector<bool>& is_static,
                     const Arena& pool, const at::Tensor& result)
    : op_(op), result_(unowned(result)) {
  const size_t count = op.schema().arguments().size();
  for (size_t i = 0; i < count; ++i) {
    c10::IValue argument = stack[stack.size() - count + i];
    if (argument.isTensor() && argument.toTensor().defined()) {
      const at::Tensor tensor = argument.toTensor();
      const auto input = std::find_if(inputs.begin(), inputs.end(),
                                      [&](const at::Tensor& each) { return each.is_same(tensor); });
      const auto index = static_cast<size_t>(input - inputs.begin());
      if (input != inputs.end() && !is_static[index]) {
        inputs_.push_back({i, index});
        argument = c10::IValue();
      } else if (pool.contains(tensor.const_data_ptr())) {
        argument = unowned(tensor);
      } else {
        outside_.push_back({i, WeakTensor(tensor.getIntrusivePtr())});
        argument = c10::IValue();
      }
    }
    arguments_.push_back(std::move(argument));
  }
}

void EagerCall::run(const std::vector<at::Tensor>& values) const {
  torch::jit::Stack stack = arguments_;
  for (const Input& each : inputs_) stack[each.argument] = values[each.input];
  for (const Outside& each : outside_) {
    const auto impl = each.tensor.lock();
    if (!impl) {
      throw RunError(fmt::format("argument {} of {}, from outside the pool, was freed",
                                 each.argument, op_.schema().name()));
    }
    stack[each.argument] = at::Tensor(impl);
  }
  op_.callBoxed(&stack);
  const at::Tensor result = stack.back().toTensor().contiguous();
  if (result.sizes() != result_.sizes() || result.scalar_type() != result_.scalar_type()) {
    throw RunError(fmt::format("{} returned another size or dtype than capture expected",
                               op_.schema().name()));
  }
  std::memcpy(result_.mutable_data_ptr(), result.const_data_ptr(), result.nbytes());
}

}  // namespace samebits
