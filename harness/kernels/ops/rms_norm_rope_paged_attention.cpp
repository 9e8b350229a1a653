#include "harness/kernels/rms_norm_rope_paged_attention.h"

#include "harness/kernels/functional.h"
#include "harness/kernels/ops/operator.h"
#include "harness/kernels/ops/shapes.h"

namespace samebits {
namespace {

Metas rms_norm_rope_paged_attention_shapes(Args args) {
  Metas metas = infer_shapes("samebits::rms_norm_rope_qk_write_kv_", args.slice(0, 12));
  const c10::IValue as_attention[] = {args[0],  args[8],  args[9], args[12],
                                      args[13], args[14], args[15]};
  metas.push_back(infer_shapes("samebits::paged_attention", as_attention)[0]);
  return metas;
}

TORCH_LIBRARY_FRAGMENT(samebits, m) {
  // rms_norm_rope_paged_attention.h: rms_norm_rope_qk_write_kv_, then paged_attention of what q
  // became.
  define(m,
         "rms_norm_rope_paged_attention_(Tensor q, Tensor q_weight, Tensor k, Tensor "
         "k_weight, float eps, Tensor cos, Tensor sin, Tensor positions, Tensor(a!) k_cache, "
         "Tensor(b!) v_cache, Tensor v, Tensor slots, Tensor block_table, Tensor cu_seqlens, "
         "Tensor seq_lens, float scale) -> (Tensor q_normed, Tensor q_rotated, Tensor "
         "k_normed, Tensor k_rotated, Tensor out)",
         rms_norm_rope_paged_attention_shapes, {.is_replayable = true, .is_attention = true});
}

}  // namespace

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor>
ops::rms_norm_rope_paged_attention_(const at::Tensor& q, const at::Tensor& q_weight,
                                    const at::Tensor& k, const at::Tensor& k_weight, double eps,
                                    const at::Tensor& cos, const at::Tensor& sin,
                                    const at::Tensor& positions, const at::Tensor& k_cache,
                                    const at::Tensor& v_cache, const at::Tensor& v,
                                    const at::Tensor& slots, const at::Tensor& block_table,
                                    const at::Tensor& cu_seqlens, const at::Tensor& seq_lens,
                                    double scale) {
  static const Operator<decltype(rms_norm_rope_paged_attention_)> op(
      "samebits::rms_norm_rope_paged_attention_");
  return op(q, q_weight, k, k_weight, eps, cos, sin, positions, k_cache, v_cache, v, slots,
            block_table, cu_seqlens, seq_lens, scale);
}

}  // namespace samebits
