#include "harness/kernels/rms_norm_linear_qkv.h"

#include "harness/kernels/functional.h"
#include "harness/kernels/ops/operator.h"
#include "harness/kernels/ops/shapes.h"

namespace samebits {
namespace {

Metas rms_norm_linear_qkv_shapes(Args args) {
  Metas metas = infer_shapes("samebits::rms_norm", args.slice(0, 2));
  for (const size_t weight : {3, 4, 5}) {
    metas.push_back(product_of(args[0], args[weight], args[6]));
  }
  return metas;
}

TORCH_LIBRARY_FRAGMENT(samebits, m) {
  // rms_norm_linear_qkv.h: x [..., D], norm_weight [D], weights [N, D] -> [..., D], [..., N] each.
  define(m,
         "rms_norm_linear_qkv(Tensor x, Tensor norm_weight, float eps, Tensor wq, Tensor wk, "
         "Tensor wv, ScalarType out_dtype) -> (Tensor normed, Tensor q, Tensor k, Tensor v)",
         rms_norm_linear_qkv_shapes, {.is_replayable = true});
}

}  // namespace

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> ops::rms_norm_linear_qkv(
    const at::Tensor& x, const at::Tensor& norm_weight, double eps, const at::Tensor& wq,
    const at::Tensor& wk, const at::Tensor& wv, at::ScalarType out_dtype) {
  static const Operator<decltype(rms_norm_linear_qkv)> op("samebits::rms_norm_linear_qkv");
  return op(x, norm_weight, eps, wq, wk, wv, out_dtype);
}

}  // namespace samebits
