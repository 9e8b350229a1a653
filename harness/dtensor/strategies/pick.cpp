// Slices, picks and joins along a dimension. A Shard along another dimension stays; along the same
// one it is gathered. Source of the semantics: torch/distributed/tensor/_ops/_tensor_ops.py.

#include <algorithm>
#include <optional>
#include <utility>

#include "harness/dispatch/schema.h"
#include "harness/dtensor/strategies/common.h"

namespace samebits {
namespace {

int64_t rank_of(const OpCall& call) { return call.args[0].toTensor().dim(); }

// op(self, ..., dim, ...) with the dimension as argument `kDim`, that keeps all dimensions.
template <size_t kDim>
OpSharding keeps_dims(const OpCall& call) {
  const Placement x = call.placements[0];
  if (x.is_shard(wrapped_dim(call.args[kDim], rank_of(call)))) return all_replicate(call, 1);
  return {{x}, {x}, {}};
}

// A slice of everything takes nothing away, along a Shard too.
OpSharding slice(const OpCall& call) {
  const Placement x = call.placements[0];
  const int64_t dim = wrapped_dim(call.args[1], rank_of(call));
  const auto begins = call.args[2].isNone() || call.args[2].toSymInt().maybe_as_int() == int64_t{0};
  const auto end = call.args[3].isNone() ? std::nullopt : call.args[3].toSymInt().maybe_as_int();
  const auto size = call.args[0].toTensor().sym_size(dim).maybe_as_int();
  const bool all = begins && call.args[4].toSymInt().maybe_as_int() == int64_t{1} &&
                   (call.args[3].isNone() || (end && size && *end >= *size));
  return all ? OpSharding{{x}, {x}, {}} : keeps_dims<1>(call);
}

OpSharding select(const OpCall& call) {
  const Placement x = call.placements[0];
  const int64_t dim = wrapped_dim(call.args[1], rank_of(call));
  if (!x.is_shard()) return {{x}, {x}, {}};
  if (x.dim() == dim) return all_replicate(call, 1);
  return {{x}, {shard(x.dim() > dim ? x.dim() - 1 : x.dim())}, {}};
}

// grad, input_sizes, dim, ...: the dimension's own gradient is written between zeros.
OpSharding slice_backward(const OpCall& call) {
  const Placement grad = call.placements[0];
  if (!grad.is_shard()) return {{grad}, {grad}, {}};
  const int64_t dim = wrapped_dim(call.args[2], rank_of(call));
  if (grad.dim() == dim) return all_replicate(call, 1);
  return {{grad}, {grad}, localize_sizes(1, call.args[1].toSymIntVector(), grad.dim(), call.ranks)};
}

OpSharding select_backward(const OpCall& call) {
  const Placement grad = call.placements[0];
  if (!grad.is_shard()) return {{grad}, {grad}, {}};
  const int64_t dim = wrapped_dim(call.args[2], rank_of(call) + 1);
  const int64_t own = grad.dim() >= dim ? grad.dim() + 1 : grad.dim();
  return {{grad}, {shard(own)}, localize_sizes(1, call.args[1].toSymIntVector(), own, call.ranks)};
}

// self, sizes, dim -> a list.
OpSharding split_into(const OpCall& call, size_t parts) {
  const Placement x = call.placements[0];
  const Placement kept = x.is_shard(wrapped_dim(call.args[2], rank_of(call))) ? replicate() : x;
  return {{kept}, std::vector<Placement>(parts, kept), {}};
}

OpSharding split(const OpCall& call) {
  const int64_t dim = wrapped_dim(call.args[2], rank_of(call));
  const int64_t size = call.args[0].toTensor().sym_size(dim).guard_int(__FILE__, __LINE__);
  const int64_t part = call.args[1].toSymInt().guard_int(__FILE__, __LINE__);
  const int64_t parts = part == 0 ? 1 : std::max<int64_t>((size + part - 1) / part, 1);
  return split_into(call, static_cast<size_t>(parts));
}

OpSharding split_with_sizes(const OpCall& call) {
  return split_into(call, call.args[1].toSymIntVector().size());
}

// Lists of tensors laid out alike: Partial if all are, else the first Shard that may stay.
Placement common_placement(const OpCall& call, int64_t gathered_dim) {
  bool all_partial = true;
  for (const Placement placement : call.placements) {
    all_partial = all_partial && placement.is_partial();
  }
  if (all_partial) return partial();
  for (const Placement placement : call.placements) {
    if (placement.is_shard() && placement.dim() != gathered_dim) return placement;
  }
  return replicate();
}

OpSharding cat(const OpCall& call) {
  int64_t rank = 0;
  for (const at::Tensor& tensor : call.tensors()) rank = std::max(rank, tensor.dim());
  for (const at::Tensor& tensor : call.tensors()) {
    // The empty [0] that cat lets pass among others has no such dimension.
    if (tensor.dim() != rank) return all_replicate(call, 1);
  }
  return uniform(call, common_placement(call, wrapped_dim(call.args[1], rank)), 1);
}

OpSharding stack(const OpCall& call) {
  const int64_t rank = call.tensors()[0].dim() + 1;
  const Placement common = common_placement(call, /*gathered_dim=*/-1);
  OpSharding sharding = uniform(call, common, 1);
  if (common.is_shard() && common.dim() >= wrapped_dim(call.args[1], rank)) {
    sharding.outputs[0] = shard(common.dim() + 1);
  }
  return sharding;
}

// self, dim, index
OpSharding index_select(const OpCall& call) {
  const Placement x = call.placements[0];
  const int64_t dim = wrapped_dim(call.args[1], rank_of(call));
  if (call.placements[1].is_shard() && !x.is_shard() && !x.is_partial()) {
    return {{x, call.placements[1]}, {shard(dim)}, {}};
  }
  const Placement kept = x.is_shard(dim) ? replicate() : x;
  return {{kept, replicate()}, {kept}, {}};
}

// self, dim, index, source, alpha: adds rows of source into self, which leads where it is written.
OpSharding index_add(const OpCall& call) {
  const Placement self = call.placements[0];
  const bool in_place = writes_first(call.schema);
  const bool kept = self.is_shard() && !self.is_shard(wrapped_dim(call.args[1], rank_of(call)));
  const Placement rows = kept ? self : replicate();
  TORCH_CHECK(!in_place || rows == self, "index_add_ writes along dimension ",
              call.args[1].toInt(), " of a tensor that is ", self.text(), "; redistribute it before");
  return {{rows, replicate(), rows}, {rows}, {}};
}

OpSharding gather(const OpCall& call) { return all_replicate(call, 1); }

SAMEBITS_STRATEGY("aten::slice.Tensor", slice);
SAMEBITS_STRATEGY("aten::slice_backward", slice_backward);
SAMEBITS_STRATEGY("aten::select.int", select);
SAMEBITS_STRATEGY("aten::select_backward", select_backward);
SAMEBITS_STRATEGY("aten::split.Tensor", split);
SAMEBITS_STRATEGY("aten::split_with_sizes", split_with_sizes);
SAMEBITS_STRATEGY("aten::cat", cat);
SAMEBITS_STRATEGY("aten::stack", stack);
SAMEBITS_STRATEGY("aten::index_select", index_select);
SAMEBITS_STRATEGY("aten::index_add", index_add);
SAMEBITS_STRATEGY("aten::index_add_", index_add);
SAMEBITS_STRATEGY("aten::gather", gather);

}  // namespace
}  // namespace samebits
