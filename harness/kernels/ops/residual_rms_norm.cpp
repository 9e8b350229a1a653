#include "harness/kernels/residual_rms_norm.h"

#include "harness/kernels/functional.h"
#include "harness/kernels/ops/operator.h"
#include "harness/kernels/ops/shapes.h"

namespace samebits {
namespace {

Metas residual_rms_norm_shapes(Args args) {
  const auto& x = args[0].toTensor();
  const auto& weight = args[2].toTensor();
  check_at_least_1d("residual_rms_norm", "x", x);
  check_same_sizes("residual_rms_norm", "a size of y", args[1].toTensor().sym_sizes(),
                   x.sym_sizes());
  check_rank("residual_rms_norm", "weight", weight, 1);
  check_equal("residual_rms_norm", "the last size of x", x.sym_size(-1), weight.sym_size(0));
  return {like(x), like(x)};
}

TORCH_LIBRARY_FRAGMENT(samebits, m) {
  // residual_rms_norm.h: x, y [..., D], weight [D] -> both [..., D].
  define(m,
         "residual_rms_norm(Tensor x, Tensor y, Tensor weight, float eps) -> (Tensor sum, "
         "Tensor normed)",
         residual_rms_norm_shapes, {.is_replayable = true});
}

}  // namespace

std::tuple<at::Tensor, at::Tensor> ops::residual_rms_norm(const at::Tensor& x, const at::Tensor& y,
                                                          const at::Tensor& weight, double eps) {
  static const Operator<decltype(residual_rms_norm)> op("samebits::residual_rms_norm");
  return op(x, y, weight, eps);
}

}  // namespace samebits
