#include "harness/kernels/linear_residual_add.h"

#include "harness/kernels/functional.h"
#include "harness/kernels/ops/operator.h"
#include "harness/kernels/ops/shapes.h"

namespace samebits {
namespace {

Metas linear_residual_add_shapes(Args args) {
  const auto& residual = args[4].toTensor();
  const c10::IValue as_linear[] = {args[0], args[1], args[2], /*dgrad_slice=*/0, args[3]};
  const TensorMeta y = infer_shapes("samebits::linear", as_linear)[0];
  check_same_sizes("linear_residual_add", "a size of residual", residual.sym_sizes(), y.sizes);
  return {y, like(residual)};
}

TORCH_LIBRARY_FRAGMENT(samebits, m) {
  // linear_residual_add.h: x [..., K], weight [N, K], residual [..., N] -> both [..., N].
  define(m,
         "linear_residual_add(Tensor x, Tensor weight, int slice, ScalarType out_dtype, "
         "Tensor residual) -> (Tensor y, Tensor sum)",
         linear_residual_add_shapes, {.is_replayable = true});
}

}  // namespace

std::tuple<at::Tensor, at::Tensor> ops::linear_residual_add(const at::Tensor& x,
                                                            const at::Tensor& weight, int64_t slice,
                                                            at::ScalarType out_dtype,
                                                            const at::Tensor& residual) {
  static const Operator<decltype(linear_residual_add)> op("samebits::linear_residual_add");
  return op(x, weight, slice, out_dtype, residual);
}

}  // namespace samebits
