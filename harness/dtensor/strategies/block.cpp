// The operators of a decoder block that work row by row, and their gradients.

#include <c10/util/Exception.h>

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

// Rows of ids outside the weight's shard are -0, the identity of the sum.
OpSharding embedding(const OpCall& call) {
  const Placement ids = call.placements[0];
  const Placement weight = call.placements[1];
  if (weight.is_shard(0)) {
    const int64_t first_row = call.args[2].toInt();
    const c10::SymInt rows = call.args[1].toTensor().sym_size(0);
    const int64_t n = call.mesh->size();
    return {{replicate(), weight}, {partial()}, [=](int64_t rank, std::vector<c10::IValue>& args) {
              args[2] = first_row + shard_range(rows, n, rank).offset;
            }};
  }
  if (weight.is_shard(1))
    return {{replicate(), weight}, {shard(call.args[0].toTensor().dim())}, {}};
  const Placement rows = ids.is_shard() ? ids : replicate();
  return {{rows, replicate()}, {rows}, {}};
}

// In place: the sum, the last tensor, leads.
OpSharding embedding_wgrad(const OpCall& call) {
  const Placement sum = placement_of_sum(call);
  if (sum.is_shard(0)) {
    const int64_t first_row = call.args[2].toInt();
    const c10::SymInt rows = call.args[3].toTensor().sym_size(0);
    const int64_t n = call.mesh->size();
    return {{replicate(), replicate(), sum}, {}, [=](int64_t rank, std::vector<c10::IValue>& args) {
              args[2] = first_row + shard_range(rows, n, rank).offset;
            }};
  }
  const Placement dy = sum.is_shard(1) ? shard(call.args[0].toTensor().dim() - 1) : replicate();
  return {{dy, replicate(), sum}, {}, {}};
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

}  // namespace
}  // namespace samebits
