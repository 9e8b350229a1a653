#include "harness/mesh/tree_sum.h"

#include <ATen/ops/add.h>
#include <ATen/ops/clone.h>
#include <c10/util/Exception.h>

namespace samebits {

at::Tensor tree_sum(std::vector<at::Tensor> parts) {
  TORCH_CHECK(!parts.empty(), "tree_sum: found no tensors, expected one or more");
  if (parts.size() == 1) return parts[0].clone(at::MemoryFormat::Contiguous);
  while (parts.size() > 1) {
    std::vector<at::Tensor> sums;
    for (size_t i = 0; i + 1 < parts.size(); i += 2)
      sums.push_back(at::add(parts[i], parts[i + 1]));
    if (parts.size() % 2 == 1) sums.push_back(parts.back());
    parts = std::move(sums);
  }
  return parts[0].contiguous();
}

}  // namespace samebits
