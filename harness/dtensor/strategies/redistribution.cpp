// Shape rules of what leads on or off a mesh, or changes a placement. On DTensors these operators
// have kernels of their own (ops.cpp) and never reach the handler, so they need no strategy.

#include "harness/dtensor/dtensor.h"
#include "harness/dtensor/redistribute_locals.h"
#include "harness/kernels/shape_rule.h"

namespace samebits {
namespace {

using Args = c10::ArrayRef<c10::IValue>;

std::vector<TensorMeta> redistribute_shape(Args args) {
  const at::Tensor& x = args[0].toTensor();
  const DTensorSpec& spec = spec_of(x);
  const auto to = Placements::from_text(args[1].toStringRef());
  return {{redistributed_sizes(x.sym_sizes(), spec, to, args[2].toBool()), x.scalar_type()}};
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
    metas.push_back({local_sizes(x.sym_sizes(), spec, rank), x.scalar_type()});
  }
  return metas;
}

std::vector<TensorMeta> from_local_shape(Args args) {
  const std::vector<at::Tensor> locals = args[0].toTensorVector();
  TORCH_CHECK(!locals.empty(), "from_local: found no tensors");
  const DTensorSpec spec = {args[1].toCustomClass<DeviceMesh>(),
                            Placements::from_text(args[2].toStringRef())};
  return {{sizes_of_parts(locals, spec.normalized(locals[0].dim())), locals[0].scalar_type()}};
}

SAMEBITS_SHAPE_RULE("samebits::redistribute", redistribute_shape);
SAMEBITS_SHAPE_RULE("samebits::full_tensor", same_sizes);
SAMEBITS_SHAPE_RULE("samebits::to_local", to_local_shapes);
SAMEBITS_SHAPE_RULE("samebits::from_local", from_local_shape);

}  // namespace
}  // namespace samebits
