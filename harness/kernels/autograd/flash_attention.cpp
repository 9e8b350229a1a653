#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/library.h>

#include "harness/kernels/autograd/common.h"
#include "harness/kernels/functional.h"

namespace samebits {
namespace {

struct FlashAttention : Function<FlashAttention> {
  static variable_list forward(AutogradContext* ctx, const at::Tensor& q, const at::Tensor& k,
                               const at::Tensor& v, const at::Tensor& cu_seqlens, double scale) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    ctx->set_materialize_grads(false);
    ctx->saved_data["scale"] = scale;
    auto [out, lse] = ops::flash_attention(q, k, v, cu_seqlens, scale);
    ctx->save_for_backward({q, k, v, out, lse, cu_seqlens});
    ctx->mark_non_differentiable({lse});
    return {out, lse};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative("flash_attention");
    if (!grads[0].defined()) return {{}, {}, {}, {}, {}};
    const auto saved = ctx->get_saved_variables();
    auto [dq, dk, dv] =
        ops::flash_attention_backward(grads[0], saved[0], saved[1], saved[2], saved[3], saved[4],
                                      saved[5], ctx->saved_data["scale"].toDouble());
    return {dq, dk, dv, {}, {}};
  }
};

std::tuple<at::Tensor, at::Tensor> flash_attention(const at::Tensor& q, const at::Tensor& k,
                                                   const at::Tensor& v,
                                                   const at::Tensor& cu_seqlens, double scale) {
  auto outputs = FlashAttention::apply(q, k, v, cu_seqlens, scale);
  return {outputs[0], outputs[1]};
}

TORCH_LIBRARY_IMPL(samebits, Autograd, m) { m.impl("flash_attention", flash_attention); }

}  // namespace
}  // namespace samebits
