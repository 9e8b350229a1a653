#include "harness/kernels/silu_mul.h"

#include "harness/kernels/functional.h"
#include "harness/kernels/ops/gradient.h"
#include "harness/kernels/ops/operator.h"
#include "harness/kernels/ops/shapes.h"

namespace samebits {
namespace {

Metas silu_mul_shapes(Args args) {
  const auto& gate = args[0].toTensor();
  check_same_sizes("silu_mul", "a size of up", args[1].toTensor().sym_sizes(), gate.sym_sizes());
  return {like(gate)};
}

Metas silu_mul_backward_shapes(Args args) {
  const auto& gate = args[1].toTensor();
  check_same_sizes("silu_mul_backward", "a size of dy", args[0].toTensor().sym_sizes(),
                   gate.sym_sizes());
  check_same_sizes("silu_mul_backward", "a size of up", args[2].toTensor().sym_sizes(),
                   gate.sym_sizes());
  return {like(gate), like(gate)};
}

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

at::Tensor silu_mul_with_gradient(const at::Tensor& gate, const at::Tensor& up,
                                  bool fused_rounding) {
  return SiluMul::apply(gate, up, fused_rounding);
}

TORCH_LIBRARY_FRAGMENT(samebits, m) {
  // silu_mul.h: gate, up [..., F] -> silu(gate) * up.
  define(m, "silu_mul(Tensor gate, Tensor up, bool fused_rounding) -> Tensor", silu_mul_shapes,
         {.is_replayable = true}, silu_mul_with_gradient);
  define(m, "silu_mul_backward(Tensor dy, Tensor gate, Tensor up) -> (Tensor dgate, Tensor dup)",
         silu_mul_backward_shapes, {.is_replayable = true});
}

}  // namespace

at::Tensor ops::silu_mul(const at::Tensor& gate, const at::Tensor& up, bool fused_rounding) {
  static const Operator<decltype(silu_mul)> op("samebits::silu_mul");
  return op(gate, up, fused_rounding);
}

std::tuple<at::Tensor, at::Tensor> ops::silu_mul_backward(const at::Tensor& dy,
                                                          const at::Tensor& gate,
                                                          const at::Tensor& up) {
  static const Operator<decltype(silu_mul_backward)> op("samebits::silu_mul_backward");
  return op(dy, gate, up);
}

}  // namespace samebits
