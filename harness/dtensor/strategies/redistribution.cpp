// redistribute, to_local and from_local for whoever propagates without running them (the tracer).
// On DTensors the operators have kernels of their own (ops.cpp) and never reach the handler.

#include "harness/dtensor/dtensor.h"
#include "harness/dtensor/redistribute_locals.h"
#include "harness/dtensor/strategies/common.h"
#include "harness/kernels/shape_rule.h"

namespace samebits {
namespace {

using Args = c10::ArrayRef<c10::IValue>;

OpSharding redistribute_placement(const OpCall& call) {
  const Placement to =
      Placement::from_text(call.args[1].toStringRef()).normalized(call.args[0].toTensor().dim());
  return {call.placements, {to}, {}};
}

OpSharding from_local_placement(const OpCall& call) {
  const Placement placement = Placement::from_text(call.args[2].toStringRef());
  return {call.placements, {placement.normalized(call.tensors()[0].dim())}, {}};
}

std::vector<TensorMeta> redistribute_shape(Args args) {
  const at::Tensor& x = args[0].toTensor();
  const DTensorSpec& spec = spec_of(x);
  const Placement to = Placement::from_text(args[1].toStringRef()).normalized(x.dim());
  return {
      {redistributed_sizes(x.sym_sizes(), spec.placement, to, spec.mesh->size(), args[2].toBool()),
       x.scalar_type()}};
}

std::vector<TensorMeta> same_sizes(Args args) {
  const at::Tensor& x = args[0].toTensor();
  return {{x.sym_sizes().vec(), x.scalar_type()}};
}

std::vector<TensorMeta> to_local_shapes(Args args) {
  const at::Tensor& x = args[0].toTensor();
  const DTensorSpec& spec = spec_of(x);
  std::vector<TensorMeta> metas;
  for (const int64_t rank : spec.mesh->hosted_ranks()) {
    metas.push_back(
        {local_sizes(x.sym_sizes(), spec.placement, spec.mesh->size(), rank), x.scalar_type()});
  }
  return metas;
}

std::vector<TensorMeta> from_local_shape(Args args) {
  const std::vector<at::Tensor> locals = args[0].toTensorVector();
  TORCH_CHECK(!locals.empty(), "from_local: found no tensors");
  const Placement placement =
      Placement::from_text(args[2].toStringRef()).normalized(locals[0].dim());
  std::vector<c10::SymInt> sizes = locals[0].sym_sizes().vec();
  if (placement.is_shard()) {
    const auto dim = static_cast<size_t>(placement.dim());
    sizes[dim] = 0;
    for (const at::Tensor& local : locals) sizes[dim] += local.sym_size(placement.dim());
  }
  return {{std::move(sizes), locals[0].scalar_type()}};
}

SAMEBITS_STRATEGY("samebits::redistribute", redistribute_placement);
SAMEBITS_STRATEGY("samebits::from_local", from_local_placement);
SAMEBITS_SHAPE_RULE("samebits::redistribute", redistribute_shape);
SAMEBITS_SHAPE_RULE("samebits::full_tensor", same_sizes);
SAMEBITS_SHAPE_RULE("samebits::to_local", to_local_shapes);
SAMEBITS_SHAPE_RULE("samebits::from_local", from_local_shape);

}  // namespace
}  // namespace samebits
