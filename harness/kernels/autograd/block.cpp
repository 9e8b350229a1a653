// The operators of a decoder block that work row by row: rms_norm, rope, silu_mul, residual_add,
// embedding.

#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/library.h>

#include "harness/kernels/autograd/common.h"
#include "harness/kernels/functional.h"

namespace samebits {
namespace {

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

struct Rope : Function<Rope> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& cos,
                            const at::Tensor& sin, const at::Tensor& positions, bool inverse) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    ctx->set_materialize_grads(false);
    ctx->saved_data["inverse"] = inverse;
    ctx->save_for_backward({cos, sin, positions});
    return ops::rope(x, cos, sin, positions, inverse);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative("rope");
    if (!grads[0].defined()) return {{}, {}, {}, {}, {}};
    const auto saved = ctx->get_saved_variables();
    const bool inverse = ctx->saved_data["inverse"].toBool();
    return {ops::rope(grads[0], saved[0], saved[1], saved[2], !inverse), {}, {}, {}, {}};
  }
};

struct SiluMul : Function<SiluMul> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate, const at::Tensor& up,
                            bool fused_rounding) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    ctx->set_materialize_grads(false);
    ctx->save_for_backward({gate, up});
    return ops::silu_mul(gate, up, fused_rounding);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative("silu_mul");
    if (!grads[0].defined()) return {{}, {}, {}};
    const auto saved = ctx->get_saved_variables();
    auto [dgate, dup] = ops::silu_mul_backward(grads[0], saved[0], saved[1]);
    return {dgate, dup, {}};
  }
};

struct ResidualAdd : Function<ResidualAdd> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& y) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    ctx->set_materialize_grads(false);
    return ops::residual_add(x, y);
  }

  static variable_list backward(AutogradContext*, const variable_list& grads) {
    return {grads[0], grads[0]};
  }
};

struct Embedding : Function<Embedding> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& ids, const at::Tensor& weight,
                            int64_t first_row) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    ctx->set_materialize_grads(false);
    ctx->saved_data["first_row"] = first_row;
    ctx->save_for_backward({ids, weight});
    return ops::embedding(ids, weight, first_row);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative("embedding");
    if (!grads[0].defined()) return {{}, {}, {}};
    const auto saved = ctx->get_saved_variables();
    const int64_t first_row = ctx->saved_data["first_row"].toInt();
    return {{}, ops::embedding_wgrad(grads[0], saved[0], saved[1], first_row), {}};
  }
};

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                    bool fused_rounding) {
  return RmsNorm::apply(x, weight, eps, fused_rounding);
}

at::Tensor rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                const at::Tensor& positions, bool inverse) {
  return Rope::apply(x, cos, sin, positions, inverse);
}

at::Tensor silu_mul(const at::Tensor& gate, const at::Tensor& up, bool fused_rounding) {
  return SiluMul::apply(gate, up, fused_rounding);
}

at::Tensor residual_add(const at::Tensor& x, const at::Tensor& y) {
  return ResidualAdd::apply(x, y);
}

at::Tensor embedding(const at::Tensor& ids, const at::Tensor& weight, int64_t first_row) {
  return Embedding::apply(ids, weight, first_row);
}

TORCH_LIBRARY_IMPL(samebits, Autograd, m) {
  m.impl("rms_norm", rms_norm);
  m.impl("rope", rope);
  m.impl("silu_mul", silu_mul);
  m.impl("residual_add", residual_add);
  m.impl("embedding", embedding);
}

}  // namespace
}  // namespace samebits
