#include "harness/graph/capture_rules.h"

#include <ATen/core/enum_tag.h>
#include <c10/util/Exception.h>

#include "harness/dtensor/dtensor.h"
#include "harness/graph/launched_operators.h"

namespace samebits {
namespace {

// Whether the host has to know a value: the result itself, or its size.
bool is_host_read(const c10::OperatorHandle& op) {
  return op.hasTag(at::Tag::data_dependent_output) || op.hasTag(at::Tag::dynamic_output_shape);
}

}  // namespace

bool CaptureRules::note_arguments(const c10::OperatorHandle& op, const torch::jit::Stack& stack) {
  const std::string& name = op.schema().name();
  bool has_dtensor = false;
  for_each_argument_tensor(op, stack, [&](const at::Tensor& tensor) {
    has_dtensor = has_dtensor || is_dtensor(tensor);
    if (!tensor.has_storage() || tensor.storage().nbytes() == 0) return;
    if (!pool_.contains(tensor.storage().data())) ledger_.add(tensor, name);
  });
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
    pass_on(op, below, stack);
    return;
  }
  if (rule == OnCapture::kLaunched && launched_operator(name, stack)) return;
  TORCH_CHECK(!is_host_read(op), "CUDA error: operation not permitted when stream is capturing: ",
              name);
  TORCH_CHECK_NOT_IMPLEMENTED(false, name,
                              ": computes outside a launch, which a CPU cannot record");
}

}  // namespace samebits
