// What the optimizer step calls: the gradient norm, clipping and AdamW.

#include <c10/util/Exception.h>

#include "harness/dtensor/strategies/common.h"

namespace samebits {
namespace {

// Slices are combined by the tree that the ranks' sums are combined by.
OpSharding sum_squares(const OpCall& call) {
  const int64_t dim = wrapped_dim(call.args[1], call.args[0].toTensor().dim());
  if (call.placements[0].is_shard(dim)) return {call.placements, {partial()}, {}};
  return all_replicate(call, 1);
}

OpSharding clip_scale(const OpCall& call) { return all_replicate(call, 2); }

// In place: the weight leads, the states must lie as it does, the gradient is brought there. The
// last two, scale and step, are numbers that every rank has.
OpSharding adamw(const OpCall& call) {
  const Placement weight = call.placements[0];
  TORCH_CHECK(!weight.is_partial(), "adamw_: the weight is P(sum), expected S(dim) or R");
  const size_t scale = call.placements.size() - 2;
  for (size_t i = 1; i + 1 < scale; ++i) {
    TORCH_CHECK(call.placements[i] == weight, "adamw_: a state is ", call.placements[i].text(),
                ", expected the weight's placement ", weight.text());
  }
  OpSharding sharding = uniform(call, weight, 0);
  sharding.inputs[scale] = sharding.inputs[scale + 1] = replicate();
  return sharding;
}

SAMEBITS_STRATEGY("samebits::sum_squares", sum_squares);
SAMEBITS_STRATEGY("samebits::clip_scale", clip_scale);
SAMEBITS_STRATEGY("samebits::adamw_", adamw);

}  // namespace
}  // namespace samebits
