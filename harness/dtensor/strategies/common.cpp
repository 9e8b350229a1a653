#include "harness/dtensor/strategies/common.h"

#include <c10/core/WrapDimMinimal.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <utility>

#include "harness/mesh/shard.h"

namespace samebits {

Placement placement_of_sum(const OpCall& call) {
  const Placement sum = call.placements.back();
  TORCH_CHECK(!sum.is_partial(), "the sum of a gradient is P(sum), expected S(dim) or R");
  return sum;
}

int64_t wrapped_dim(const c10::IValue& dim, int64_t rank) {
  return c10::maybe_wrap_dim(dim.toInt(), rank);
}

ShardRange shard_range(const c10::SymInt& size, int64_t n, int64_t rank) {
  return {shard_offset(size, n, rank).expect_int(), shard_size(size, n, rank).expect_int()};
}

bool is_even(const c10::SymInt& size, int64_t n) {
  return (size % n).sym_eq(0).guard_bool(__FILE__, __LINE__);
}

std::function<void(int64_t, std::vector<c10::IValue>&)> localize_sizes(
    size_t arg, std::vector<c10::SymInt> sizes, int64_t dim, int64_t n) {
  return [arg, sizes = std::move(sizes), dim, n](int64_t rank, std::vector<c10::IValue>& args) {
    std::vector<int64_t> local;
    for (size_t d = 0; d < sizes.size(); ++d) {
      local.push_back(static_cast<int64_t>(d) == dim ? shard_range(sizes[d], n, rank).size
                                                     : sizes[d].expect_int());
    }
    args[arg] = std::move(local);
  };
}

std::vector<int64_t> contiguous_strides(c10::SymIntArrayRef sizes) {
  std::vector<int64_t> strides(sizes.size(), 1);
  for (size_t i = sizes.size(); i-- > 1;) {
    strides[i - 1] = strides[i] * std::max<int64_t>(sizes[i].expect_int(), 1);
  }
  return strides;
}

}  // namespace samebits
