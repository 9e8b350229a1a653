#include "harness/workload/weight_sync.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "harness/graph/graph_output.h"

namespace samebits {
namespace {

std::vector<at::Tensor> plain_parameters(const Qwen3& model) {
  std::vector<at::Tensor> plain;
  for (const Parameter& parameter : model.parameters()) {
    for (const at::Tensor& part : plain_parts(parameter.tensor)) plain.push_back(part);
  }
  return plain;
}

}  // namespace

void sync_weights(const Qwen3& from, Qwen3& to) {
  const c10::NoGradGuard no_grad;
  at::_foreach_copy_(plain_parameters(to), plain_parameters(from));
}

}  // namespace samebits
