#include "harness/dtensor/copies.h"

#include <ATen/ops/equal.h>

#include "harness/dtensor/dtensor.h"

namespace samebits {

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  const auto bytes_of = [](const at::Tensor& x) {
    return x.contiguous().view({-1}).view(at::kByte);
  };
  return at::equal(bytes_of(a), bytes_of(b));
}

std::vector<int64_t> ranks_apart(const at::Tensor& tensor) {
  std::vector<int64_t> apart;
  if (!is_dtensor(tensor) || !spec_of(tensor).placements.is_replicate()) return apart;
  const std::vector<at::Tensor>& locals = locals_of(tensor);
  for (size_t i = 1; i < locals.size(); ++i) {
    const bool is_same = locals[i].sizes() == locals[0].sizes() && same_bits(locals[i], locals[0]);
    if (!is_same) apart.push_back(spec_of(tensor).mesh->hosted_ranks()[i]);
  }
  return apart;
}

}  // namespace samebits
