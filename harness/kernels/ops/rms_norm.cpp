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
  check_at_least_1d("rms_norm_wgrad_", "x", x);
  check_same_sizes("rms_norm_wgrad_", "a size of dy", args[0].toTensor().sym_sizes(),
                   x.sym_sizes());
  check_sum("rms_norm_wgrad_", args[4], {x.sym_size(-1)});
  return {};
}

struct RmsNorm : Function<RmsNorm> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            double eps, bool fused_rounding, const WeightGradient& into) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    ctx->set_materialize_grads(false);
    save(ctx, into);
    ctx->saved_data["eps"] = eps;
    ctx->save_for_backward({x, weight});
    return ops::rms_norm(x, weight, eps, fused_rounding);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative("rms_norm");
    const auto& dy = grads[0];
    if (!dy.defined()) return variable_list(5);
    const auto saved = ctx->get_saved_variables();
    const double eps = ctx->saved_data["eps"].toDouble();
    at::Tensor dx;
    at::Tensor dweight;
    if (ctx->needs_input_grad(0)) dx = ops::rms_norm_dgrad(dy, saved[0], saved[1], eps);
    if (ctx->needs_input_grad(1)) {
      dweight = weight_gradient(ctx, saved[1], [&](const auto& starts, const at::Tensor& sum) {
        ops::rms_norm_wgrad_(dy, saved[0], eps, starts, sum);
      });
    }
    return {dx, dweight, {}, {}, {}};
  }
};

at::Tensor rms_norm_with_gradient(const at::Tensor& x, const at::Tensor& weight, double eps,
                                  bool fused_rounding) {
  return RmsNorm::apply(x, weight, eps, fused_rounding, WeightGradient());
}

TORCH_LIBRARY_FRAGMENT(samebits, m) {
  // rms_norm.h: x [..., D], weight [D] -> [..., D], dtype of x.
  define(m, "rms_norm(Tensor x, Tensor weight, float eps, bool fused_rounding) -> Tensor",
         rms_norm_shapes, {.is_replayable = true}, rms_norm_with_gradient);
  define(m, "rms_norm_dgrad(Tensor dy, Tensor x, Tensor weight, float eps) -> Tensor",
         rms_norm_dgrad_shapes, {.is_replayable = true});
  // Adds to sum float32 [D]; `starts` as in step_gradient.h.
  define(m, "rms_norm_wgrad_(Tensor dy, Tensor x, float eps, Tensor? starts, Tensor(a!) sum) -> ()",
         rms_norm_wgrad_shapes, {.is_replayable = true});
}

}  // namespace

at::Tensor ops::rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                         bool fused_rounding) {
  static const Operator<at::Tensor(const at::Tensor&, const at::Tensor&, double, bool)> op(
      "samebits::rms_norm");
  return op(x, weight, eps, fused_rounding);
}

at::Tensor ops::rms_norm_dgrad(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                               double eps) {
  static const Operator<decltype(rms_norm_dgrad)> op("samebits::rms_norm_dgrad");
  return op(dy, x, weight, eps);
}

void ops::rms_norm_wgrad_(const at::Tensor& dy, const at::Tensor& x, double eps,
                          const std::optional<at::Tensor>& starts, const at::Tensor& sum) {
  static const Operator<decltype(rms_norm_wgrad_)> op("samebits::rms_norm_wgrad_");
  op(dy, x, eps, starts, sum);
}

at::Tensor ops::rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                         bool fused_rounding, const WeightGradient& into) {
  if (!into.sum.defined()) return ops::rms_norm(x, weight, eps, fused_rounding);
  return RmsNorm::apply(x, weight, eps, fused_rounding, into);
}

}  // namespace samebits
