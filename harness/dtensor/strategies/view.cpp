// Views that rearrange dimensions. Source of the semantics: torch/distributed/tensor/_ops/
// _view_ops.py, strict about rows: a Shard survives a flatten or a split only as the leading
// dimension of its group and only if every rank then holds the same rows as before. Anything else
// is gathered first, never relabelled (pytorch#179502 is what happens otherwise).

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "harness/dtensor/strategies/common.h"
#include "harness/kernels/shape_rule.h"

namespace samebits {
namespace {

bool is_static(const c10::SymInt& size, int64_t value) { return size.maybe_as_int() == value; }

// In a view from `in` to `out`: the dimension of `out` that holds what dimension `dim` of `in`
// held, sharded over n ranks, if there is one. Sizes of 1 that are known to be 1 belong to no
// group.
std::optional<int64_t> viewed_shard_dim(c10::SymIntArrayRef in, c10::SymIntArrayRef out,
                                        int64_t dim, int64_t n) {
  const auto d = static_cast<size_t>(dim);
  // Nothing changes up to the dimension itself; also right for empty tensors.
  if (d < out.size()) {
    bool same = true;
    for (size_t i = 0; same && i <= d; ++i) same = in[i] == out[i];
    if (same) return dim;
  }
  for (const auto sizes : {in, out}) {
    for (const c10::SymInt& size : sizes) {
      if (is_static(size, 0)) return std::nullopt;  // without elements, groups are not defined
    }
  }
  // Walks the groups of least dimensions with equal products.
  size_t i = 0;
  size_t o = 0;
  const auto skip_ones = [](c10::SymIntArrayRef sizes, size_t& at) {
    while (at < sizes.size() && is_static(sizes[at], 1)) ++at;
  };
  while (true) {
    skip_ones(in, i);
    skip_ones(out, o);
    if (i >= in.size() || o >= out.size()) return std::nullopt;  // dim is a 1
    const size_t first_in = i;
    const size_t first_out = o;
    c10::SymInt in_product = in[i++];
    c10::SymInt out_product = out[o++];
    while (in_product != out_product) {
      if (in_product < out_product) {
        if (i >= in.size()) return std::nullopt;
        in_product *= in[i++];
      } else {
        if (o >= out.size()) return std::nullopt;
        out_product *= out[o++];
      }
    }
    if (d >= i) continue;
    if (d != first_in) return std::nullopt;  // inside its group, or a 1
    const bool unchanged = i - first_in == 1 && o - first_out == 1;
    const bool rows_stay = unchanged || (is_even(in[first_in], n) && is_even(out[first_out], n));
    return rows_stay ? std::optional(static_cast<int64_t>(first_out)) : std::nullopt;
  }
}

// A DTensor says that its strides are those of a contiguous tensor; a local that is not contiguous
// (after a transpose) is made so before it is viewed.
using Localize = std::function<void(int64_t, std::vector<c10::IValue>&)>;
Localize contiguous_first(Localize localize) {
  return [localize = std::move(localize)](int64_t rank, std::vector<c10::IValue>& args) {
    args[0] = args[0].toTensor().contiguous();
    if (localize) localize(rank, args);
  };
}

OpSharding view(const OpCall& call) {
  const Placement x = call.placements[0];
  if (!x.is_shard()) return {{x}, {x}, contiguous_first({})};
  const std::string name = call.schema.operator_name().overload_name.empty()
                               ? call.schema.name()
                               : call.schema.name() + "." + call.schema.overload_name();
  std::vector<c10::SymInt> out = infer_shapes(name, call.args)[0].sizes;
  const int64_t n = call.ranks;
  const auto dim = viewed_shard_dim(call.args[0].toTensor().sym_sizes(), out, x.dim(), n);
  if (!dim) return {{replicate()}, {replicate()}, contiguous_first({})};
  return {{x}, {shard(*dim)}, contiguous_first(localize_sizes(1, std::move(out), *dim, n))};
}

// _reshape_alias(self, size, stride): what reshape() calls where the strides allow a view.
OpSharding reshape_alias(const OpCall& call) {
  OpSharding sharding = view(call);
  sharding.localize = [localize = std::move(sharding.localize)](int64_t rank,
                                                                std::vector<c10::IValue>& args) {
    localize(rank, args);
    args[2] = contiguous_strides(args[1].toSymIntVector());
  };
  return sharding;
}

// expand(self, size): a sharded dimension keeps its size. One of size 1 that is stretched is
// gathered.
OpSharding expand(const OpCall& call) {
  const Placement x = call.placements[0];
  if (!x.is_shard()) return {{x}, {x}, {}};
  const at::Tensor& self = call.args[0].toTensor();
  std::vector<c10::SymInt> out = infer_shapes("aten::expand", call.args)[0].sizes;
  const int64_t dim = x.dim() + static_cast<int64_t>(out.size()) - self.dim();
  if (self.sym_size(x.dim()) != out[static_cast<size_t>(dim)]) return all_replicate(call, 1);
  return {{x}, {shard(dim)}, localize_sizes(1, std::move(out), dim, call.ranks)};
}

OpSharding moved(const OpCall& call, int64_t dim) { return {call.placements, {shard(dim)}, {}}; }

OpSharding same(const OpCall& call) { return {call.placements, call.placements, {}}; }

OpSharding transpose(const OpCall& call) {
  const Placement x = call.placements[0];
  const int64_t rank = call.args[0].toTensor().dim();
  if (!x.is_shard()) return same(call);
  const int64_t a = wrapped_dim(call.args[1], rank);
  const int64_t b = wrapped_dim(call.args[2], rank);
  return moved(call, x.dim() == a ? b : x.dim() == b ? a : x.dim());
}

OpSharding t(const OpCall& call) {
  const Placement x = call.placements[0];
  return x.is_shard() ? moved(call, call.args[0].toTensor().dim() - 1 - x.dim()) : same(call);
}

OpSharding permute(const OpCall& call) {
  const Placement x = call.placements[0];
  if (!x.is_shard()) return same(call);
  const auto dims = call.args[1].toIntVector();
  const int64_t rank = call.args[0].toTensor().dim();
  for (size_t i = 0; i < dims.size(); ++i) {
    if (wrapped_dim(dims[i], rank) == x.dim()) return moved(call, static_cast<int64_t>(i));
  }
  TORCH_CHECK(false, "permute: dimension ", x.dim(), " is missing from ", dims);
}

OpSharding unsqueeze(const OpCall& call) {
  const Placement x = call.placements[0];
  if (!x.is_shard()) return same(call);
  const int64_t dim = wrapped_dim(call.args[1], call.args[0].toTensor().dim() + 1);
  return moved(call, x.dim() >= dim ? x.dim() + 1 : x.dim());
}

// A local size of 1 is no size of 1: the dimension is squeezed by the whole's size.
OpSharding squeeze(const OpCall& call) {
  const Placement x = call.placements[0];
  const at::Tensor& self = call.args[0].toTensor();
  if (!x.is_shard()) return same(call);
  const int64_t dim = wrapped_dim(call.args[1], self.dim());
  if (is_static(self.sym_size(dim), 1)) {
    if (dim == x.dim()) return all_replicate(call, 1);
    return moved(call, x.dim() > dim ? x.dim() - 1 : x.dim());
  }
  OpSharding sharding = same(call);
  if (dim == x.dim()) {
    // Rank 0 of a dimension of 2 over 2 ranks has one row, and squeezing it would lose the
    // dimension.
    const int64_t other = self.dim();
    sharding.localize = [other](int64_t, std::vector<c10::IValue>& args) {
      args[0] = args[0].toTensor().unsqueeze(-1);
      args[1] = other;
    };
  }
  return sharding;
}

SAMEBITS_STRATEGY("aten::view", view);
SAMEBITS_STRATEGY("aten::reshape", view);
SAMEBITS_STRATEGY("aten::_unsafe_view", view);
SAMEBITS_STRATEGY("aten::_reshape_alias", reshape_alias);
SAMEBITS_STRATEGY("aten::expand", expand);
SAMEBITS_STRATEGY("aten::transpose.int", transpose);
SAMEBITS_STRATEGY("aten::t", t);
SAMEBITS_STRATEGY("aten::permute", permute);
SAMEBITS_STRATEGY("aten::unsqueeze", unsqueeze);
SAMEBITS_STRATEGY("aten::squeeze.dim", squeeze);

}  // namespace
}  // namespace samebits
