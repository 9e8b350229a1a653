#include "harness/kernels/rms_norm_rope_paged_attention.h"

#include <torch/library.h>

#include <tuple>

#include "harness/kernels/flash_attention.h"
#include "harness/kernels/rms_norm_rope_qk_write_kv.h"

namespace samebits {
namespace {

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor>
rms_norm_rope_paged_attention_(const at::Tensor& q, const at::Tensor& q_weight, const at::Tensor& k,
                               const at::Tensor& k_weight, double eps, const at::Tensor& cos,
                               const at::Tensor& sin, const at::Tensor& positions,
                               const at::Tensor& k_cache, const at::Tensor& v_cache,
                               const at::Tensor& v, const at::Tensor& slots,
                               const at::Tensor& block_table, const at::Tensor& cu_seqlens,
                               const at::Tensor& seq_lens, double scale) {
  auto [q_normed, q_rotated, k_normed, k_rotated] = cpu::rms_norm_rope_qk_write_kv_(
      q, q_weight, k, k_weight, eps, cos, sin, positions, k_cache, v_cache, v, slots);
  at::Tensor out =
      cpu::paged_attention(q_rotated, k_cache, v_cache, block_table, cu_seqlens, seq_lens, scale);
  return {q_normed, q_rotated, k_normed, k_rotated, out};
}

TORCH_LIBRARY_IMPL(samebits, CPU, m) {
  m.impl("rms_norm_rope_paged_attention_", rms_norm_rope_paged_attention_);
}

}  // namespace
}  // namespace samebits
