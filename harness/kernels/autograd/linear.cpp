#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/_to_copy.h>
#include <torch/library.h>

#include "harness/kernels/autograd/common.h"
#include "harness/kernels/functional.h"

namespace samebits {
namespace {

struct Linear : Function<Linear> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            int64_t slice, int64_t dgrad_slice, at::ScalarType out_dtype) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    ctx->set_materialize_grads(false);
    ctx->saved_data["dgrad_slice"] = dgrad_slice;
    ctx->save_for_backward({x, weight});
    return ops::linear(x, weight, slice, dgrad_slice, out_dtype);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative("linear");
    if (!grads[0].defined()) return {{}, {}, {}, {}, {}};
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
    if (ctx->needs_input_grad(1)) dweight = ops::linear_wgrad(dy, x);
    return {dx, dweight, {}, {}, {}};
  }
};

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, int64_t slice, int64_t dgrad_slice,
                  at::ScalarType out_dtype) {
  return Linear::apply(x, weight, slice, dgrad_slice, out_dtype);
}

TORCH_LIBRARY_IMPL(samebits, Autograd, m) { m.impl("linear", linear); }

}  // namespace
}  // namespace samebits
