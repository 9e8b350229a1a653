#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <cstdint>
#include <string>
#include <vector>

#include "harness/graph/arena.h"

namespace samebits {

// An operator between two pieces of a graph, which runs through the dispatcher at every replay.
// Tensors of the pool are taken by address, as launches take them; tensors from outside are held
// weakly; inputs that are not static are whatever the step brings. The result is copied to a block
// of the pool, where the next piece expects it.
class EagerCall {
 public:
  // The call that is on top of `stack`. `inputs` are the program's; `result`, in the pool, has the
  // size and dtype of what the operator returns.
  EagerCall(const c10::OperatorHandle& op, const torch::jit::Stack& stack,
            const std::vector<at::Tensor>& inputs, const std::vector<bool>& is_static,
            const Arena& pool, const at::Tensor& result);

  // `values`: one for each input; those of static ones are not looked at. Throws RunError where a
  // tensor from outside is gone or the result is not what capture saw.
  void run(const std::vector<at::Tensor>& values) const;

 private:
  using WeakTensor = c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>;
  struct Outside {
    size_t argument;
    WeakTensor tensor;
  };
  struct Input {
    size_t argument;
    size_t input;
  };

  c10::OperatorHandle op_;
  torch::jit::Stack arguments_;  // nothing that owns memory
  std::vector<Outside> outside_;
  std::vector<Input> inputs_;
  at::Tensor result_;  // does not own its memory
};

}  // namespace samebits
