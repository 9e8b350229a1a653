// linear and its gradients. What is summed is split only where the pieces are summed again in one
// fixed tree (K and N, by slices); sums over tokens never are: uneven shards would cut the chain
// elsewhere.

#include <c10/util/Exception.h>

#include "harness/dtensor/strategies/common.h"

namespace samebits {
namespace {

OpSharding linear(const OpCall& call) {
  const int64_t last = call.args[0].toTensor().dim() - 1;
  const Placement x = call.placements[0];
  const Placement weight = call.placements[1];
  if (weight.is_shard(0)) return {{replicate(), weight}, {shard(last)}, {}};
  if (weight.is_shard(1)) {
    const auto out_dtype = call.args[4].toScalarType();
    TORCH_CHECK(out_dtype == c10::kFloat, "linear with a weight S(1) gives a pending sum: found ",
                "out_dtype ", out_dtype, ", expected Float (rounding before the sum would change ",
                "the bits; cast after the redistribution)");
    return {{shard(last), weight}, {partial()}, {}};
  }
  if (x.is_shard() && x.dim() != last) return {{x, replicate()}, {x}, {}};
  return all_replicate(call, 1);
}

OpSharding linear_dgrad(const OpCall& call) {
  const int64_t last = call.args[0].toTensor().dim() - 1;
  const Placement dy = call.placements[0];
  const Placement weight = call.placements[1];
  if (weight.is_shard(0)) return {{shard(last), weight}, {partial()}, {}};
  if (weight.is_shard(1)) return {{replicate(), weight}, {shard(last)}, {}};
  if (dy.is_shard() && dy.dim() != last) return {{dy, replicate()}, {dy}, {}};
  return all_replicate(call, 1);
}

// In place: the sum, the last tensor, leads.
OpSharding linear_wgrad(const OpCall& call) {
  const Placement sum = placement_of_sum(call);
  const int64_t last = call.args[1].toTensor().dim() - 1;
  OpSharding sharding = all_replicate(call, 0);
  if (sum.is_shard(0)) sharding.inputs[0] = shard(last);
  if (sum.is_shard(1)) sharding.inputs[1] = shard(last);
  sharding.inputs.back() = sum;
  return sharding;
}

SAMEBITS_STRATEGY("samebits::linear", linear);
SAMEBITS_STRATEGY("samebits::linear_dgrad", linear_dgrad);
SAMEBITS_STRATEGY("samebits::linear_wgrad_", linear_wgrad);

}  // namespace
}  // namespace samebits
