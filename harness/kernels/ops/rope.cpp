#include "harness/kernels/rope.h"

#include "harness/kernels/functional.h"
#include "harness/kernels/ops/gradient.h"
#include "harness/kernels/ops/operator.h"
#include "harness/kernels/ops/shapes.h"

namespace samebits {
namespace {

Metas rope_shapes(Args args) {
  const auto& x = args[0].toTensor();
  const auto& cos = args[1].toTensor();
  check_rank("rope", "x", x, 4);
  check_rank("rope", "cos", cos, 2);
  check_same_sizes("rope", "a size of sin", args[2].toTensor().sym_sizes(), cos.sym_sizes());
  check_same_sizes("rope", "a size of positions", args[3].toTensor().sym_sizes(),
                   x.sym_sizes().slice(0, 2));
  check_equal("rope", "the last size of x", x.sym_size(-1), cos.sym_size(1) * 2);
  return {like(x)};
}

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

at::Tensor rope_with_gradient(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                              const at::Tensor& positions, bool inverse) {
  return Rope::apply(x, cos, sin, positions, inverse);
}

TORCH_LIBRARY_FRAGMENT(samebits, m) {
  // rope.h: x [1, T, H, D], cos and sin float32 [P, D / 2], positions int64 [1, T] -> [1, T, H, D].
  define(m, "rope(Tensor x, Tensor cos, Tensor sin, Tensor positions, bool inverse) -> Tensor",
         rope_shapes, {.is_replayable = true}, rope_with_gradient);
}

}  // namespace

at::Tensor ops::rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                     const at::Tensor& positions, bool inverse) {
  static const Operator<decltype(rope)> op("samebits::rope");
  return op(x, cos, sin, positions, inverse);
}

}  // namespace samebits
