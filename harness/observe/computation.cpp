#include "harness/observe/computation.h"

#include <ATen/core/stack.h>
#include <c10/core/GradMode.h>

#include "harness/dispatch/schema.h"
#include "harness/dtensor/dtensor.h"

namespace samebits {

at::Tensor copy_of_whole(const at::Tensor& tensor) {
  const c10::NoGradGuard no_grad;
  const at::Tensor whole = is_dtensor(tensor) ? full_tensor(tensor) : tensor;
  return whole.detach().cpu().contiguous().clone();
}

std::vector<at::Tensor> tensors_in(const c10::IValue& value) {
  std::vector<at::Tensor> tensors;
  const auto add = [&](const c10::IValue& item) {
    if (item.isTensor() && item.toTensor().defined()) tensors.push_back(item.toTensor());
  };
  add(value);
  if (value.isList()) {
    for (const c10::IValue& item : value.toListRef()) add(item);
  }
  return tensors;
}

std::optional<std::vector<at::Tensor>> outputs_of(const Computation::Call& call) {
  if (!call.is_repeatable) return std::nullopt;
  const c10::NoGradGuard no_grad;
  const auto& declared = call.op.schema().arguments();
  std::vector<at::Tensor> written;
  torch::jit::Stack stack;
  for (size_t i = 0; i < call.args.size(); ++i) {
    const bool is_copied = is_written(declared[i]) && call.args[i].isTensor();
    stack.push_back(is_copied ? c10::IValue(call.args[i].toTensor().clone()) : call.args[i]);
    if (is_copied) written.push_back(stack.back().toTensor());
  }
  call.op.callBoxed(stack);
  std::vector<at::Tensor> outputs;
  for (const c10::IValue& result : stack) {
    for (const at::Tensor& each : tensors_in(result)) outputs.push_back(copy_of_whole(each));
  }
  for (const at::Tensor& each : written) outputs.push_back(copy_of_whole(each));
  return outputs;
}

}  // namespace samebits
