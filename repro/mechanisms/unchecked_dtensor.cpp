#include "repro/mechanisms/unchecked_dtensor.h"

#include <ATen/ops/narrow.h>

#include <algorithm>
#include <utility>

#include "harness/mesh/shard.h"

namespace samebits {

at::Tensor unchecked_dtensor(const DTensorSpec& spec, at::IntArrayRef sizes,
                             std::vector<at::Tensor> locals) {
  if (spec.placement().is_shard()) {
    const int64_t dim = spec.placement().dim();
    int64_t rank = 0;
    for (at::Tensor& local : locals) {
      const int64_t shard =
          shard_size(sizes[static_cast<size_t>(dim)], spec.mesh->size(), rank++).expect_int();
      local = local.narrow(dim, 0, std::min(shard, local.size(dim))).contiguous();
    }
  }
  const at::Tensor& first = locals[0];
  return at::detail::make_tensor<DTensorImpl>(spec, c10::fromIntArrayRefSlow(sizes),
                                              first.scalar_type(), first.device(),
                                              std::move(locals), /*contiguous=*/true);
}

}  // namespace samebits
