#include "harness/detect/eager_calls.h"

#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include "harness/capture/ir/graph.h"
#include "harness/dispatch/dispatch_mode.h"
#include "harness/dispatch/operator_traits.h"
#include "harness/dtensor/dtensor.h"

namespace samebits {
namespace {

class CallRecorder final : public DispatchMode {
 public:
  void call(const c10::OperatorHandle& op, torch::jit::Stack* stack) override {
    const size_t count = op.schema().arguments().size();
    calls.push_back({op, ir::op_name(op), {stack->end() - count, stack->end()}, {}});
    op.callBoxed(stack);
    const size_t returns = op.schema().returns().size();
    calls.back().results =
        tensors_in(c10::ArrayRef<c10::IValue>(*stack).slice(stack->size() - returns));
  }
  std::vector<EagerCall> calls;
};

}  // namespace

std::vector<EagerCall> eager_calls(const Program& program, const std::vector<at::Tensor>& inputs) {
  const c10::NoGradGuard no_grad;
  CallRecorder recorder;
  try {
    const DispatchModeGuard on(recorder);
    program(inputs);
  } catch (const c10::Error&) {  // NOLINT(bugprone-empty-catch)
    // What was called until then is the answer.
  }
  return std::move(recorder.calls);
}

std::vector<at::Tensor> tensors_in(c10::ArrayRef<c10::IValue> values) {
  std::vector<at::Tensor> found;
  const auto add = [&](const at::Tensor& tensor) {
    if (tensor.defined()) found.push_back(tensor);
  };
  for (const c10::IValue& value : values) {
    if (value.isTensor()) {
      add(value.toTensor());
    } else if (value.isTensorList()) {
      for (const at::Tensor& tensor : value.toTensorVector()) add(tensor);
    } else if (value.isOptionalTensorList()) {
      for (const auto& tensor : value.toOptionalTensorVector()) {
        if (tensor) add(*tensor);
      }
    }
  }
  return found;
}

std::vector<at::Tensor> parts_of(const at::Tensor& tensor) {
  return is_dtensor(tensor) ? locals_of(tensor) : std::vector<at::Tensor>{tensor};
}

bool crosses_meshes(const EagerCall& call) { return traits_of(call.name).is_conversion; }

}  // namespace samebits
