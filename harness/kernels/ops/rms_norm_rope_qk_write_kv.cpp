#include "harness/kernels/rms_norm_rope_qk_write_kv.h"

#include "harness/kernels/functional.h"
#include "harness/kernels/ops/operator.h"
#include "harness/kernels/ops/shapes.h"

namespace samebits {
namespace {

Metas rms_norm_rope_qk_write_kv_shapes(Args args) {
  const c10::IValue as_q[] = {args[0], args[1], args[4], args[5], args[6], args[7]};
  Metas metas = infer_shapes("samebits::rms_norm_rope", as_q);
  const c10::IValue as_k[] = {args[2], args[3], args[4], args[5],  args[6],
                              args[7], args[8], args[9], args[10], args[11]};
  for (TensorMeta& meta : infer_shapes("samebits::rms_norm_rope_write_kv_", as_k)) {
    metas.push_back(std::move(meta));
  }
  return metas;
}

TORCH_LIBRARY_FRAGMENT(samebits, m) {
  // rms_norm_rope_qk_write_kv.h: both norms and rotations, q [1, T, H, D] and k [1, T, G, D], and
  // the write of what k became.
  define(m,
         "rms_norm_rope_qk_write_kv_(Tensor q, Tensor q_weight, Tensor k, Tensor k_weight, "
         "float eps, Tensor cos, Tensor sin, Tensor positions, Tensor(a!) k_cache, Tensor(b!) "
         "v_cache, Tensor v, Tensor slots) -> (Tensor q_normed, Tensor q_rotated, Tensor "
         "k_normed, Tensor k_rotated)",
         rms_norm_rope_qk_write_kv_shapes, {.is_replayable = true});
}

}  // namespace

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> ops::rms_norm_rope_qk_write_kv_(
    const at::Tensor& q, const at::Tensor& q_weight, const at::Tensor& k,
    const at::Tensor& k_weight, double eps, const at::Tensor& cos, const at::Tensor& sin,
    const at::Tensor& positions, const at::Tensor& k_cache, const at::Tensor& v_cache,
    const at::Tensor& v, const at::Tensor& slots) {
  static const Operator<decltype(rms_norm_rope_qk_write_kv_)> op(
      "samebits::rms_norm_rope_qk_write_kv_");
  return op(q, q_weight, k, k_weight, eps, cos, sin, positions, k_cache, v_cache, v, slots);
}

}  // namespace samebits
