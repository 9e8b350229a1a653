#include "harness/kernels/rms_norm.h"

#include "harness/kernels/functional.h"
#include "harness/kernels/ops/gradient.h"
#include "harness/kernels/ops/operator.h"
#include "harness/kernels/ops/shapes.h"

namespace samebits {
namespace {

Metas rms_norm_shapes(Args args) {
  const auto& x = args[0].toTensor();
  const auto& weight = args[1].toTensor();
  check_at_least_1d("rms_norm", "x", x);
  check_rank("rms_norm", "weight", weight, 1);
  check_equal("rms_norm", "the last size of x", x.sym_size(-1), weight.sym_size(0));
  return {like(x)};
}

Metas rms_norm_dgrad_shapes(Args args) {
  const auto& x = args[1].toTensor();
  check_at_least_1d("rms_norm_dgrad", "x", x);
  check_same_sizes("rms_norm_dgrad", "a size of dy", args[0].toTensor().sym_sizes(), x.sym_sizes());
  check_equal("rms_norm_dgrad", "the last size of x", x.sym_size(-1),
              args[2].toTensor().sym_size(0));
  return {like(x)};
}

Metas rms_norm_wgrad_shapes(Args args) {
  const auto& x = args[1].toTensor();
  check_at_least_1d("rms_norm_wgrad", "x", x);
  check_same_sizes("rms_norm_wgrad", "a size of dy", args[0].toTensor().sym_sizes(), x.sym_sizes());
  return {{{x.sym_size(-1)}, x.scalar_type()}};
}

struct RmsNorm : Function<RmsNorm> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            double eps, bool fused_rounding) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    ctx->set_materialize_grads(false);
    ctx->saved_data["eps"] = eps;
    ctx->save_for_backward({x, weight});
    return ops::rms_norm(x, weight, eps, fused_rounding);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative("rms_norm");
    const auto& dy = grads[0];
    if (!dy.defined()) return {{}, {}, {}, {}};
    const auto saved = ctx->get_saved_variables();
    const double eps = ctx->saved_data["eps"].toDouble();
    at::Tensor dx;
    at::Tensor dweight;
    if (ctx->needs_input_grad(0)) dx = ops::rms_norm_dgrad(dy, saved[0], saved[1], eps);
    if (ctx->needs_input_grad(1)) dweight = ops::rms_norm_wgrad(dy, saved[0], eps);
    return {dx, dweight, {}, {}};
  }
};

at::Tensor rms_norm_with_gradient(const at::Tensor& x, const at::Tensor& weight, double eps,
                                  bool fused_rounding) {
  return RmsNorm::apply(x, weight, eps, fused_rounding);
}

TORCH_LIBRARY_FRAGMENT(samebits, m) {
  // rms_norm.h: x [..., D], weight [D] -> [..., D], dtype of x.
  define(m, "rms_norm(Tensor x, Tensor weight, float eps, bool fused_rounding) -> Tensor",
         rms_norm_shapes, {.is_replayable = true}, rms_norm_with_gradient);
  define(m, "rms_norm_dgrad(Tensor dy, Tensor x, Tensor weight, float eps) -> Tensor",
         rms_norm_dgrad_shapes);
  // [D], dtype of x
  define(m, "rms_norm_wgrad(Tensor dy, Tensor x, float eps) -> Tensor", rms_norm_wgrad_shapes);
}

}  // namespace

at::Tensor ops::rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                         bool fused_rounding) {
  static const Operator<decltype(rms_norm)> op("samebits::rms_norm");
  return op(x, weight, eps, fused_rounding);
}

at::Tensor ops::rms_norm_dgrad(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                               double eps) {
  static const Operator<decltype(rms_norm_dgrad)> op("samebits::rms_norm_dgrad");
  return op(dy, x, weight, eps);
}

at::Tensor ops::rms_norm_wgrad(const at::Tensor& dy, const at::Tensor& x, double eps) {
  static const Operator<decltype(rms_norm_wgrad)> op("samebits::rms_norm_wgrad");
  return op(dy, x, eps);
}

}  // namespace samebits
