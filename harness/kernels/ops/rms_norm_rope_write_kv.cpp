#include "harness/kernels/rms_norm_rope_write_kv.h"

#include "harness/kernels/functional.h"
#include "harness/kernels/ops/operator.h"
#include "harness/kernels/ops/shapes.h"

namespace samebits {
namespace {

Metas rms_norm_rope_write_kv_shapes(Args args) {
  const c10::IValue as_write[] = {args[6], args[7], args[0], args[8], args[9]};
  infer_shapes("samebits::write_kv", as_write);
  return infer_shapes("samebits::rms_norm_rope", args.slice(0, 6));
}

TORCH_LIBRARY_FRAGMENT(samebits, m) {
  // rms_norm_rope_write_kv.h: rms_norm_rope of x [1, T, G, D], then write_kv of what it rotated.
  define(m,
         "rms_norm_rope_write_kv_(Tensor x, Tensor weight, float eps, Tensor cos, Tensor sin, "
         "Tensor positions, Tensor(a!) k_cache, Tensor(b!) v_cache, Tensor v, Tensor slots) "
         "-> (Tensor normed, Tensor rotated)",
         rms_norm_rope_write_kv_shapes, {.is_replayable = true});
}

}  // namespace

std::tuple<at::Tensor, at::Tensor> ops::rms_norm_rope_write_kv_(
    const at::Tensor& x, const at::Tensor& weight, double eps, const at::Tensor& cos,
    const at::Tensor& sin, const at::Tensor& positions, const at::Tensor& k_cache,
    const at::Tensor& v_cache, const at::Tensor& v, const at::Tensor& slots) {
  static const Operator<decltype(rms_norm_rope_write_kv_)> op("samebits::rms_norm_rope_write_kv_");
  return op(x, weight, eps, cos, sin, positions, k_cache, v_cache, v, slots);
}

}  // namespace samebits
