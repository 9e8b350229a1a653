#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "harness/model/decoder.h"

namespace samebits {

// The parameters that captured graphs of a model hold: the tensors that they were at the first
// check. A graph would go on reading one that was replaced, which it keeps alive.
class HeldParameters {
 public:
  // Borrows the model.
  explicit HeldParameters(const Decoder& model) : model_(model) {}

  // Throws RunError that names a parameter which is another tensor now. Written in place is fine.
  void check();

 private:
  using WeakTensor = c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>;

  const Decoder& model_;
  std::vector<WeakTensor> parameters_;
};

}  // namespace samebits
