#include "harness/kernels/linear.h"

#include "harness/kernels/functional.h"
#include "harness/kernels/ops/gradient.h"
#include "harness/kernels/ops/operator.h"
#include "harness/kernels/ops/shapes.h"

namespace samebits {
namespace {

Metas linear_shapes(Args args) {
  const auto& x = args[0].toTensor();
  const auto& weight = args[1].toTensor();
  check_at_least_1d("linear", "x", x);
  check_rank("linear", "weight", weight, 2);
  check_equal("linear", "the last size of x", x.sym_size(-1), weight.sym_size(1));
  return {{with_last(x, weight.sym_size(0)), args[4].toScalarType()}};
}

Metas linear_dgrad_shapes(Args args) {
  const auto& dy = args[0].toTensor();
  const auto& weight = args[1].toTensor();
  check_at_least_1d("linear_dgrad", "dy", dy);
  check_rank("linear_dgrad", "weight", weight, 2);
  check_equal("linear_dgrad", "the last size of dy", dy.sym_size(-1), weight.sym_size(0));
  return {{with_last(dy, weight.sym_size(1)), c10::kFloat}};
}

Metas linear_wgrad_shapes(Args args) {
  const auto& dy = args[0].toTensor();
  const auto& x = args[1].toTensor();
  check_at_least_1d("linear_wgrad_", "dy", dy);
  check_at_least_1d("linear_wgrad_", "x", x);
  check_same_sizes("linear_wgrad_", "a leading size of dy", leading(dy), leading(x));
  check_sum("linear_wgrad_", args[3], {dy.sym_size(-1), x.sym_size(-1)});
  return {};
}

struct Linear : Function<Linear> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            int64_t slice, int64_t dgrad_slice, at::ScalarType out_dtype,
                            const WeightGradient& into) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    ctx->set_materialize_grads(false);
    save(ctx, into);
    ctx->saved_data["dgrad_slice"] = dgrad_slice;
    ctx->save_for_backward({x, weight});
    return ops::linear(x, weight, slice, dgrad_slice, out_dtype);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative("linear");
    if (!grads[0].defined()) return variable_list(6);
    const auto& dy = grads[0];
    const auto saved = ctx->get_saved_variables();
    const auto& x = saved[0];
    const auto& weight = saved[1];
    at::Tensor dx;
    at::Tensor dweight;
    if (ctx->needs_input_grad(0)) {
      // linear_dgrad's float32 may be a sum that is still pending over a mesh. The cast ends it
      // before it rounds, so it is called for float32 x as well, where `to` would do nothing.
      dx = at::_to_copy(ops::linear_dgrad(dy, weight, ctx->saved_data["dgrad_slice"].toInt()),
                        at::TensorOptions().dtype(x.scalar_type()));
    }
    if (ctx->needs_input_grad(1)) {
      dweight = weight_gradient(ctx, weight, [&](const auto& starts, const at::Tensor& sum) {
        const c10::IValue tied = ctx->saved_data["tied"];
        if (tied.isNone()) return ops::linear_wgrad_(dy, x, starts, sum);
        c10::List<at::Tensor> left = tied.toTensorList();
        for (const at::Tensor& each : {dy, x, *starts, sum}) left.push_back(each);
      });
    }
    return {dx, dweight, {}, {}, {}, {}};
  }
};

at::Tensor linear_with_gradient(const at::Tensor& x, const at::Tensor& weight, int64_t slice,
                                int64_t dgrad_slice, at::ScalarType out_dtype) {
  return Linear::apply(x, weight, slice, dgrad_slice, out_dtype, WeightGradient());
}

TORCH_LIBRARY_FRAGMENT(samebits, m) {
  // linear.h: x [..., K], weight [N, K] -> [..., N]. The sum over K is cut into chains of `slice`
  // (0: one chain). `dgrad_slice` cuts the sum over N of the input gradient in the same way.
  define(m,
         "linear(Tensor x, Tensor weight, int slice, int dgrad_slice, ScalarType out_dtype) "
         "-> Tensor",
         linear_shapes, {.is_replayable = true}, linear_with_gradient);
  // float32 [..., K]
  define(m, "linear_dgrad(Tensor dy, Tensor weight, int slice) -> Tensor", linear_dgrad_shapes,
         {.is_replayable = true});
  // Adds to sum float32 [N, K]; `starts` as in step_gradient.h.
  define(m, "linear_wgrad_(Tensor dy, Tensor x, Tensor? starts, Tensor(a!) sum) -> ()",
         linear_wgrad_shapes, {.is_replayable = true});
}

}  // namespace

at::Tensor ops::linear(const at::Tensor& x, const at::Tensor& weight, int64_t slice,
                       int64_t dgrad_slice, at::ScalarType out_dtype) {
  static const Operator<at::Tensor(const at::Tensor&, const at::Tensor&, int64_t, int64_t,
                                   at::ScalarType)>
      op("samebits::linear");
  return op(x, weight, slice, dgrad_slice, out_dtype);
}

at::Tensor ops::linear_dgrad(const at::Tensor& dy, const at::Tensor& weight, int64_t slice) {
  static const Operator<decltype(linear_dgrad)> op("samebits::linear_dgrad");
  return op(dy, weight, slice);
}

void ops::linear_wgrad_(const at::Tensor& dy, const at::Tensor& x,
                        const std::optional<at::Tensor>& starts, const at::Tensor& sum) {
  static const Operator<decltype(linear_wgrad_)> op("samebits::linear_wgrad_");
  op(dy, x, starts, sum);
}

at::Tensor ops::linear(const at::Tensor& x, const at::Tensor& weight, int64_t slice,
                       int64_t dgrad_slice, at::ScalarType out_dtype, const WeightGradient& into) {
  if (!into.sum.defined()) return ops::linear(x, weight, slice, dgrad_slice, out_dtype);
  return Linear::apply(x, weight, slice, dgrad_slice, out_dtype, into);
}

}  // namespace samebits
