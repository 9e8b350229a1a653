// Elementwise ATen operators: arithmetic, copies, factories. Source of the semantics:
// torch/distributed/tensor/_ops/_pointwise_ops.py and _tensor_ops.py, with two differences that
// keep bits. A Replicate is never split into summands, so Partial + Replicate is reduced. A Partial
// is kept only where the operator commutes with the sum up to the rounding of its scalar.

#include <c10/util/Exception.h>

#include <algorithm>
#include <optional>

#include "harness/dispatch/schema.h"
#include "harness/dtensor/strategies/common.h"

namespace samebits {
namespace {

// The placement of an input of `rank` dimensions when the broadcast result of `out_rank` is S(dim):
// a dimension of size 1 that is stretched is on every rank.
Placement under_shard(const at::Tensor& input, int64_t out_rank, int64_t dim,
                      const c10::SymInt& out_size) {
  const int64_t own = dim - (out_rank - input.dim());
  if (own < 0) return replicate();
  const bool stretched =
      input.sym_size(own).maybe_as_int() == int64_t{1} && out_size.maybe_as_int() != int64_t{1};
  return stretched ? replicate() : shard(own);
}

// The result's sharded dimension: of the first input that is sharded along a dimension that it does
// not stretch.
std::optional<int64_t> leading_dim(const OpCall& call, const std::vector<at::Tensor>& tensors,
                                   int64_t out_rank) {
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (!call.placements[i].is_shard()) continue;
    const int64_t own = call.placements[i].dim();
    const int64_t dim = own + out_rank - tensors[i].dim();
    bool stretched = false;
    if (tensors[i].sym_size(own).maybe_as_int() == int64_t{1}) {
      for (const at::Tensor& other : tensors) {
        const int64_t theirs = dim - (out_rank - other.dim());
        stretched =
            stretched || (theirs >= 0 && other.sym_size(theirs).maybe_as_int() != int64_t{1});
      }
    }
    if (!stretched) return dim;
  }
  return std::nullopt;
}

c10::SymInt broadcast_size(const std::vector<at::Tensor>& tensors, int64_t out_rank, int64_t dim) {
  for (const at::Tensor& tensor : tensors) {
    const int64_t own = dim - (out_rank - tensor.dim());
    if (own >= 0 && tensor.sym_size(own).maybe_as_int() != int64_t{1}) return tensor.sym_size(own);
  }
  return 1;
}

// Any number of tensors that broadcast to one shape; the result is not linear in them.
OpSharding elementwise(const OpCall& call) {
  const std::vector<at::Tensor> tensors = call.tensors();
  int64_t out_rank = 0;
  for (const at::Tensor& tensor : tensors) out_rank = std::max(out_rank, tensor.dim());
  std::optional<int64_t> dim;
  if (writes_first(call.schema)) {
    const Placement written = call.placements[0];
    TORCH_CHECK(!written.is_partial(), call.schema.name(),
                " writes a pending sum P(sum), with which it does not commute");
    if (written.is_shard()) dim = written.dim();
  } else {
    dim = leading_dim(call, tensors, out_rank);
  }
  if (!dim) return all_replicate(call, 1);
  const c10::SymInt size = broadcast_size(tensors, out_rank, *dim);
  OpSharding sharding{{}, {shard(*dim)}, {}};
  for (const at::Tensor& tensor : tensors) {
    sharding.inputs.push_back(under_shard(tensor, out_rank, *dim, size));
  }
  return sharding;
}

bool all_partial(const OpCall& call) {
  for (const Placement placement : call.placements) {
    if (!placement.is_partial()) return false;
  }
  return true;
}

// x + y, x - y: sums of summands.
OpSharding additive(const OpCall& call) {
  return all_partial(call) ? uniform(call, partial(), 1) : elementwise(call);
}

// x * y, x / y. A pending sum times one number stays pending.
OpSharding scaling(const OpCall& call) {
  const std::vector<at::Tensor> tensors = call.tensors();
  const bool by_number =
      tensors.size() == 1 || (call.placements[1].is_replicate() && tensors[1].dim() == 0);
  if (call.placements[0].is_partial() && by_number) return {call.placements, {partial()}, {}};
  return elementwise(call);
}

// Every placement as it is: copies, negation, setting to zero.
OpSharding unchanged(const OpCall& call) { return {call.placements, call.placements, {}}; }

// copy_(self, source): the source goes where self is.
OpSharding copy_into(const OpCall& call) {
  if (call.placements[0].is_partial() && call.placements[1].is_partial()) return unchanged(call);
  TORCH_CHECK(!call.placements[0].is_partial(), "copy_ writes a pending sum P(sum) from ",
              call.placements[1].text());
  return elementwise(call);
}

// Rounding is not linear: a pending sum is ended before it is narrowed. A cast to the same dtype
// ends it too, so that a float32 gradient is reduced where a bfloat16 one is, before it meets
// others.
OpSharding to_copy(const OpCall& call) {
  if (!call.placements[0].is_partial() || call.args[1].isNone()) return unchanged(call);
  const auto from = call.args[0].toTensor().scalar_type();
  const auto to = call.args[1].toScalarType();
  const bool widens = from != to && c10::promoteTypes(from, to) == to;
  return widens ? unchanged(call) : all_replicate(call, 1);
}

// A constant of the same sizes; nothing is read.
OpSharding constant_like(const OpCall& call) {
  return {
      call.placements, {call.placements[0].is_partial() ? replicate() : call.placements[0]}, {}};
}

// new_zeros(self, size, ...): laid out like self where the sizes are self's, otherwise replicated.
OpSharding constant_of_size(const OpCall& call) {
  const at::Tensor& self = call.args[0].toTensor();
  std::vector<c10::SymInt> sizes = call.args[1].toSymIntVector();
  bool same = call.placements[0].is_shard() && static_cast<int64_t>(sizes.size()) == self.dim();
  for (size_t d = 0; same && d < sizes.size(); ++d) same = sizes[d] == self.sym_sizes()[d];
  if (!same) return {call.placements, {replicate()}, {}};
  return {call.placements,
          {call.placements[0]},
          localize_sizes(1, std::move(sizes), call.placements[0].dim(), call.ranks)};
}

// new_empty_strided(self, size, stride, ...): contiguous on every rank.
OpSharding empty_strided(const OpCall& call) {
  OpSharding sharding = constant_of_size(call);
  sharding.localize = [sizes = std::move(sharding.localize)](int64_t rank,
                                                             std::vector<c10::IValue>& args) {
    if (sizes) sizes(rank, args);
    args[2] = contiguous_strides(args[1].toSymIntVector());
  };
  return sharding;
}

struct Row {
  const char* op;
  Strategy strategy;
};

constexpr Row kStrategies[] = {
    {"aten::alias", unchanged},
    {"aten::clone", unchanged},
    {"aten::detach", unchanged},
    {"aten::neg", unchanged},
    {"aten::zero_", unchanged},
    {"aten::_to_copy", to_copy},
    {"aten::copy_", copy_into},
    {"aten::empty_like", constant_like},
    {"aten::full_like", constant_like},
    {"aten::ones_like", constant_like},
    {"aten::zeros_like", constant_like},
    {"aten::new_empty", constant_of_size},
    {"aten::new_full", constant_of_size},
    {"aten::new_ones", constant_of_size},
    {"aten::new_zeros", constant_of_size},
    {"aten::new_empty_strided", empty_strided},
    {"aten::add.Tensor", additive},
    {"aten::add_.Tensor", additive},
    {"aten::sub.Tensor", additive},
    {"aten::sub_.Tensor", additive},
    {"aten::mul.Tensor", scaling},
    {"aten::mul_.Tensor", scaling},
    {"aten::mul.Scalar", scaling},
    {"aten::mul_.Scalar", scaling},
    {"aten::div.Tensor", scaling},
    {"aten::div_.Tensor", scaling},
    {"aten::div.Scalar", scaling},
    {"aten::div_.Scalar", scaling},
    {"aten::abs", elementwise},
    {"aten::add.Scalar", elementwise},
    {"aten::add_.Scalar", elementwise},
    {"aten::sub.Scalar", elementwise},
    {"aten::sub_.Scalar", elementwise},
    {"aten::exp", elementwise},
    {"aten::fill_.Scalar", elementwise},
    {"aten::log", elementwise},
    {"aten::pow.Tensor_Scalar", elementwise},
    {"aten::rsqrt", elementwise},
    {"aten::sigmoid", elementwise},
    {"aten::silu", elementwise},
    {"aten::silu_backward", elementwise},
    {"aten::sqrt", elementwise},
};

const bool kRegistered = [] {
  for (const Row& row : kStrategies) register_strategy(row.op, row.strategy);
  return true;
}();

}  // namespace
}  // namespace samebits
