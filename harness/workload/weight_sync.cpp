#include "harness/workload/weight_sync.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

namespace samebits {

void sync_weights(const Qwen3& from, Qwen3& to) {
  const c10::NoGradGuard no_grad;
  for (size_t i = 0; i < from.parameters().size(); ++i) {
    to.parameters()[i].tensor.copy_(from.parameters()[i].tensor);
  }
}

}  // namespace samebits
