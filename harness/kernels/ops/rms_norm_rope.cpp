#include "harness/kernels/rms_norm_rope.h"

#include "harness/kernels/functional.h"
#include "harness/kernels/ops/operator.h"
#include "harness/kernels/ops/shapes.h"

namespace samebits {
namespace {

Metas rms_norm_rope_shapes(Args args) {
  infer_shapes("samebits::rms_norm", args.slice(0, 2));
  const c10::IValue as_rope[] = {args[0], args[3], args[4], args[5]};
  infer_shapes("samebits::rope", as_rope);
  return {like(args[0].toTensor()), like(args[0].toTensor())};
}

TORCH_LIBRARY_FRAGMENT(samebits, m) {
  // rms_norm_rope.h: x [1, T, H, D], weight [D], cos and sin float32 [P, D / 2], positions int64
  // [1, T] -> both [1, T, H, D], as the two operators would give them.
  define(m,
         "rms_norm_rope(Tensor x, Tensor weight, float eps, Tensor cos, Tensor sin, Tensor "
         "positions) -> (Tensor normed, Tensor rotated)",
         rms_norm_rope_shapes, {.is_replayable = true});
}

}  // namespace

std::tuple<at::Tensor, at::Tensor> ops::rms_norm_rope(const at::Tensor& x, const at::Tensor& weight,
                                                      double eps, const at::Tensor& cos,
                                                      const at::Tensor& sin,
                                                      const at::Tensor& positions) {
  static const Operator<decltype(rms_norm_rope)> op("samebits::rms_norm_rope");
  return op(x, weight, eps, cos, sin, positions);
}

}  // namespace samebits
