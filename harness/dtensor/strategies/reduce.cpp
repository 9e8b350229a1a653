// Sums, means, products and lookups of LibTorch. Source of the semantics: torch/distributed/tensor/
// _ops/_math_ops.py, _matrix_ops.py and _embedding_ops.py. Where upstream chooses by the cost of
// communication, the choice here is by placement alone, so that sizes never change it.

#include <set>

#include "harness/dtensor/strategies/common.h"

namespace samebits {
namespace {

// The dimensions that are summed: all, where none are named.
std::set<int64_t> reduced_dims(const OpCall& call, const c10::IValue& dims) {
  const int64_t rank = call.args[0].toTensor().dim();
  std::set<int64_t> reduced;
  if (!dims.isNone()) {
    for (const int64_t dim : dims.toIntVector()) reduced.insert(wrapped_dim(dim, rank));
  }
  if (reduced.empty()) {
    for (int64_t d = 0; d < rank; ++d) reduced.insert(d);
  }
  return reduced;
}

// `x` after the reduced dimensions are gone, or stay as 1.
Placement without(Placement x, const std::set<int64_t>& reduced, bool keepdim) {
  if (!x.is_shard() || keepdim) return x;
  int64_t before = 0;
  for (const int64_t dim : reduced) before += dim < x.dim() ? 1 : 0;
  return shard(x.dim() - before);
}

OpSharding sum_over(const OpCall& call, const std::set<int64_t>& reduced, bool keepdim) {
  const Placement x = call.placements[0];
  if (x.is_shard() && reduced.count(x.dim())) return {{x}, {partial()}, {}};
  return {{x}, {without(x, reduced, keepdim)}, {}};
}

// A mean is one division of the whole sum.
OpSharding mean_over(const OpCall& call, const std::set<int64_t>& reduced, bool keepdim) {
  const Placement x = call.placements[0];
  if (x.is_partial() || (x.is_shard() && reduced.count(x.dim()))) return all_replicate(call, 1);
  return {{x}, {without(x, reduced, keepdim)}, {}};
}

OpSharding sum(const OpCall& call) {
  return sum_over(call, reduced_dims(call, c10::IValue()), /*keepdim=*/false);
}

OpSharding sum_dims(const OpCall& call) {
  return sum_over(call, reduced_dims(call, call.args[1]), call.args[2].toBool());
}

OpSharding mean(const OpCall& call) {
  return mean_over(call, reduced_dims(call, c10::IValue()), /*keepdim=*/false);
}

OpSharding mean_dims(const OpCall& call) {
  return mean_over(call, reduced_dims(call, call.args[1]), call.args[2].toBool());
}

// a [M, K] x b [K, N].
OpSharding mm(const OpCall& call) {
  const Placement a = call.placements[0];
  const Placement b = call.placements[1];
  if (a.is_shard(1) || b.is_shard(0)) return {{shard(1), shard(0)}, {partial()}, {}};
  if (b.is_shard(1)) return {{replicate(), b}, {b}, {}};
  if (a.is_shard(0)) return {{a, replicate()}, {a}, {}};
  return all_replicate(call, 1);
}

// weight, indices, ...: rows that are split over ranks are gathered. (samebits::embedding splits
// them.)
OpSharding embedding(const OpCall& call) {
  const Placement weight = call.placements[0];
  const Placement indices = call.placements[1];
  if (indices.is_shard()) return {{replicate(), indices}, {indices}, {}};
  if (weight.is_shard(1))
    return {{weight, replicate()}, {shard(call.args[1].toTensor().dim())}, {}};
  return all_replicate(call, 1);
}

// grad, indices, num_weights, ...: a sum over tokens, in token order.
OpSharding embedding_backward(const OpCall& call) {
  const Placement grad = call.placements[0];
  if (grad.is_shard(call.args[0].toTensor().dim() - 1))
    return {{grad, replicate()}, {shard(1)}, {}};
  return all_replicate(call, 1);
}

// self, dim, half_to_float
OpSharding log_softmax(const OpCall& call) {
  const Placement x = call.placements[0];
  const bool kept =
      x.is_shard() && x.dim() != wrapped_dim(call.args[1], call.args[0].toTensor().dim());
  return kept ? OpSharding{{x}, {x}, {}} : all_replicate(call, 1);
}

// What gives a number or a yes or no: the same on every rank.
OpSharding to_value(const OpCall& call) { return all_replicate(call, 0); }

SAMEBITS_STRATEGY("aten::sum", sum);
SAMEBITS_STRATEGY("aten::sum.dim_IntList", sum_dims);
SAMEBITS_STRATEGY("aten::mean", mean);
SAMEBITS_STRATEGY("aten::mean.dim", mean_dims);
SAMEBITS_STRATEGY("aten::mm", mm);
SAMEBITS_STRATEGY("aten::embedding", embedding);
SAMEBITS_STRATEGY("aten::embedding_dense_backward", embedding_backward);
SAMEBITS_STRATEGY("aten::_log_softmax", log_softmax);
SAMEBITS_STRATEGY("aten::_local_scalar_dense", to_value);
SAMEBITS_STRATEGY("aten::equal", to_value);

}  // namespace
}  // namespace samebits
