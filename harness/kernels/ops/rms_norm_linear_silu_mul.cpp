#include "harness/kernels/rms_norm_linear_silu_mul.h"

#include "harness/kernels/functional.h"
#include "harness/kernels/ops/operator.h"
#include "harness/kernels/ops/shapes.h"

namespace samebits {
namespace {

Metas rms_norm_linear_silu_mul_shapes(Args args) {
  Metas metas = infer_shapes("samebits::rms_norm", args.slice(0, 2));
  for (const size_t weight : {3, 4}) metas.push_back(product_of(args[0], args[weight], args[5]));
  check_same_sizes("rms_norm_linear_silu_mul", "a size of up", metas[2].sizes, metas[1].sizes);
  metas.push_back(metas[1]);
  return metas;
}

TORCH_LIBRARY_FRAGMENT(samebits, m) {
  // rms_norm_linear_silu_mul.h: x [..., D], norm_weight [D], weights [F, D] -> [..., D] and
  // [..., F] each.
  define(m,
         "rms_norm_linear_silu_mul(Tensor x, Tensor norm_weight, float eps, Tensor "
         "gate_weight, Tensor up_weight, ScalarType out_dtype) -> (Tensor normed, Tensor "
         "gate, Tensor up, Tensor y)",
         rms_norm_linear_silu_mul_shapes, {.is_replayable = true});
}

}  // namespace

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> ops::rms_norm_linear_silu_mul(
    const at::Tensor& x, const at::Tensor& norm_weight, double eps, const at::Tensor& gate_weight,
    const at::Tensor& up_weight, at::ScalarType out_dtype) {
  static const Operator<decltype(rms_norm_linear_silu_mul)> op(
      "samebits::rms_norm_linear_silu_mul");
  return op(x, norm_weight, eps, gate_weight, up_weight, out_dtype);
}

}  // namespace samebits
