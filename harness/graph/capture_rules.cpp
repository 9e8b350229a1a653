#include "harness/graph/capture_rules.h"

#include <c10/util/Exception.h>

#include "harness/dtensor/dtensor.h"
#include "harness/graph/launched_operators.h"

namespace samebits {

bool CaptureRules::note_arguments(const c10::OperatorHandle& op, const torch::jit::Stack& stack) {
  const std::string& name = op.schema().name();
  bool has_dtensor = false;
  const auto note = [&](const at::Tensor& tensor) {
    if (!tensor.defined()) return;
    has_dtensor = has_dtensor || is_dtensor(tensor);
    if (!tensor.has_storage() || tensor.storage().nbytes() == 0) return;
    if (!pool_.contains(tensor.storage().data())) ledger_.add(tensor, name);
  };
  const size_t count = op.schema().arguments().size();
  for (size_t i = stack.size() - count; i < stack.size(); ++i) {
    if (stack[i].isTensor()) {
      note(stack[i].toTensor());
    } else if (stack[i].isTensorList()) {
      for (const at::Tensor& tensor : stack[i].toTensorVector()) note(tensor);
    }
  }
  return has_dtensor;
}

void CaptureRules::call(const c10::OperatorHandle& op, c10::DispatchKeySet below,
                        torch::jit::Stack* stack) {
  struct Depth {
    int& value;
    explicit Depth(int& depth) : value(depth) { ++value; }
    ~Depth() { --value; }
  };
  const std::string& name = op.schema().name();
  if (depth_ == 0) memory_.set_who(name);
  const Depth depth(depth_);
  // On DTensors the operator comes back once for each rank, on plain tensors, and is judged there.
  const bool has_dtensor = note_arguments(op, *stack);
  const OnCapture rule = on_capture(name);
  if (has_dtensor || rule == OnCapture::kRuns) {
    op.redispatchBoxed(below, stack);
    return;
  }
  const bool is_launched = rule == OnCapture::kLaunched && launched_operator(name, stack);
  TORCH_CHECK(is_launched, "CUDA error: operation not permitted when stream is capturing: ", name);
}

}  // namespace samebits
