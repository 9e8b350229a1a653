#include "harness/graph/capture_rules.h"

#include <c10/util/Exception.h>

#include <algorithm>

#include "harness/dtensor/dtensor.h"
#include "harness/graph/launched_operators.h"

namespace samebits {

bool CaptureRules::note_arguments(const c10::OperatorHandle& op, const torch::jit::Stack& stack,
                                  bool is_splitting) {
  const std::string& name = op.schema().name();
  bool has_dtensor = false;
  const auto note = [&](const at::Tensor& tensor) {
    if (!tensor.defined()) return;
    has_dtensor = has_dtensor || is_dtensor(tensor);
    for (const at::Tensor& input : splitting_.inputs) {
      TORCH_CHECK(is_splitting || !input.is_same(tensor), name,
                  ": takes an input that is not static, which only operators between pieces may");
    }
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
  const bool is_splitting = std::find(splitting_.operators.begin(), splitting_.operators.end(),
                                      name) != splitting_.operators.end();
  const bool has_dtensor = note_arguments(op, *stack, is_splitting);
  if (is_splitting && !has_dtensor) {
    splitting_.split(op, stack);
    return;
  }
  const OnCapture rule = on_capture(name);
  if (has_dtensor || rule == OnCapture::kRuns) {
    op.redispatchBoxed(below, stack);
    return;
  }
  const bool is_launched = rule == OnCapture::kLaunched && launched_operator(name, stack);
  TORCH_CHECK(is_launched, "CUDA error: operation not permitted when stream is capturing: ", name);
}

}  // namespace samebits
