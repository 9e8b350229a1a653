// The operators of a decoder block that work row by row, and their gradients.

#include <c10/util/Exception.h>

#include <functional>
#include <utility>
#include <vector>

#include "harness/dtensor/strategies/common.h"

namespace samebits {
namespace {

// The first sharded placement along a dimension of `rank` other than the last one, or Replicate.
Placement common_rows(const OpCall& call, size_t tensors, int64_t rank) {
  for (size_t i = 0; i < tensors; ++i) {
    const Placement placement = call.placements[i];
    if (placement.is_shard() && placement.dim() != rank - 1) return placement;
  }
  return replicate();
}

OpSharding rms_norm(const OpCall& call) {
  const Placement rows = common_rows(call, 1, call.args[0].toTensor().dim());
  return {{rows, replicate()}, {rows}, {}};
}

OpSharding residual_rms_norm(const OpCall& call) {
  const Placement rows = common_rows(call, 2, call.args[0].toTensor().dim());
  return {{rows, rows, replicate()}, {rows, rows}, {}};
}

// What a graph is given where nothing is split (capture/passes/fuse.h): on a mesh, whole
// everywhere.
template <size_t kOutputs>
OpSharding whole(const OpCall& call) {
  return all_replicate(call, kOutputs);
}

OpSharding rms_norm_dgrad(const OpCall& call) {
  const Placement rows = common_rows(call, 2, call.args[0].toTensor().dim());
  return {{rows, rows, replicate()}, {rows}, {}};
}

// Sums over tokens: in token order, on every rank.
OpSharding rms_norm_wgrad(const OpCall& call) {
  TORCH_CHECK(placement_of_sum(call).is_replicate(), "rms_norm_wgrad_: the sum is ",
              placement_of_sum(call).text(), ", expected R");
  return all_replicate(call, 0);
}

OpSharding rope(const OpCall& call) {
  const Placement x = call.placements[0].is_shard(kHeads) ? shard(kHeads) : replicate();
  return {{x, replicate(), replicate(), replicate()}, {x}, {}};
}

OpSharding rms_norm_rope(const OpCall& call) {
  const Placement x = call.placements[0].is_shard(kHeads) ? shard(kHeads) : replicate();
  return {{x, replicate(), replicate(), replicate(), replicate()}, {x, x}, {}};
}

// The first Shard among the inputs, of one shape all. Never Partial: none of these is linear in
// what it rounds.
template <size_t kOutputs>
OpSharding elementwise(const OpCall& call) {
  for (const Placement placement : call.placements) {
    if (placement.is_shard()) return uniform(call, placement, kOutputs);
  }
  return all_replicate(call, kOutputs);
}

// Argument 2, the first row, as a rank that has a shard of `rows` counts it.
std::function<void(int64_t, std::vector<c10::IValue>&)> localize_first_row(const OpCall& call,
                                                                           c10::SymInt rows) {
  return [first_row = call.args[2].toInt(), rows = std::move(rows), n = call.ranks](
             int64_t rank, std::vector<c10::IValue>& args) {
    args[2] = first_row + shard_range(rows, n, rank).offset;
  };
}

// Rows of ids outside the weight's shard are -0, the identity of the sum.
OpSharding embedding(const OpCall& call) {
  const Placement ids = call.placements[0];
  const Placement weight = call.placements[1];
  if (weight.is_shard(0)) {
    return {{replicate(), weight},
            {partial()},
            localize_first_row(call, call.args[1].toTensor().sym_size(0))};
  }
  if (weight.is_shard(1))
    return {{replicate(), weight}, {shard(call.args[0].toTensor().dim())}, {}};
  const Placement rows = ids.is_shard() ? ids : replicate();
  return {{rows, replicate()}, {rows}, {}};
}

// In place: the sum, the last tensor, leads.
OpSharding embedding_wgrad(const OpCall& call) {
  const Placement sum = placement_of_sum(call);
  OpSharding sharding = all_replicate(call, 0);
  sharding.inputs.back() = sum;
  if (sum.is_shard(0)) {
    sharding.localize = localize_first_row(call, call.args[4].toTensor().sym_size(0));
  }
  if (sum.is_shard(1)) sharding.inputs[0] = shard(call.args[0].toTensor().dim() - 1);
  return sharding;
}

// The same of both sums, which lie alike.
OpSharding tied_wgrad(const OpCall& call) {
  const Placement sum = placement_of_sum(call);
  const auto columns = [&](size_t arg) { return shard(call.args[arg].toTensor().dim() - 1); };
  OpSharding sharding = all_replicate(call, 0);
  auto& inputs = sharding.inputs;  // dy, ids, starts, dlogits, h, row_starts, sum, head_sum
  inputs[6] = inputs[7] = sum;
  if (sum.is_shard(0)) {
    inputs[3] = columns(4);
    sharding.localize = localize_first_row(call, call.args[7].toTensor().sym_size(0));
  }
  if (sum.is_shard(1)) {
    inputs[0] = columns(0);
    inputs[4] = columns(5);
  }
  return sharding;
}

SAMEBITS_STRATEGY("samebits::rms_norm", rms_norm);
SAMEBITS_STRATEGY("samebits::rms_norm_dgrad", rms_norm_dgrad);
SAMEBITS_STRATEGY("samebits::rms_norm_wgrad_", rms_norm_wgrad);
SAMEBITS_STRATEGY("samebits::rope", rope);
SAMEBITS_STRATEGY("samebits::rms_norm_rope", rms_norm_rope);
SAMEBITS_STRATEGY("samebits::silu_mul", elementwise<1>);
SAMEBITS_STRATEGY("samebits::silu_mul_backward", elementwise<2>);
SAMEBITS_STRATEGY("samebits::residual_add", elementwise<1>);
SAMEBITS_STRATEGY("samebits::residual_rms_norm", residual_rms_norm);
SAMEBITS_STRATEGY("samebits::linear_residual_add", whole<2>);
SAMEBITS_STRATEGY("samebits::rms_norm_linear_qkv", whole<4>);
SAMEBITS_STRATEGY("samebits::rms_norm_linear_silu_mul", whole<4>);
SAMEBITS_STRATEGY("samebits::embedding", embedding);
SAMEBITS_STRATEGY("samebits::embedding_wgrad_", embedding_wgrad);
SAMEBITS_STRATEGY("samebits::tied_wgrad_", tied_wgrad);

}  // namespace
}  // namespace samebits
