#include "harness/kernels/rms_norm_rope_qk_write_kv.h"

#include <torch/library.h>

#include <tuple>

#include "harness/kernels/flash_attention.h"
#include "harness/kernels/rms_norm_rope.h"

namespace samebits {

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> cpu::rms_norm_rope_qk_write_kv_(
    const at::Tensor& q, const at::Tensor& q_weight, const at::Tensor& k,
    const at::Tensor& k_weight, double eps, const at::Tensor& cos, const at::Tensor& sin,
    const at::Tensor& positions, const at::Tensor& k_cache, const at::Tensor& v_cache,
    const at::Tensor& v, const at::Tensor& slots) {
  auto [q_normed, q_rotated] = cpu::rms_norm_rope(q, q_weight, eps, cos, sin, positions);
  auto [k_normed, k_rotated] = cpu::rms_norm_rope(k, k_weight, eps, cos, sin, positions);
  cpu::write_kv(k_cache, v_cache, /*k=*/k_rotated, v, slots);
  return {q_normed, q_rotated, k_normed, k_rotated};
}

TORCH_LIBRARY_IMPL(samebits, CPU, m) {
  m.impl("rms_norm_rope_qk_write_kv_", cpu::rms_norm_rope_qk_write_kv_);
}

}  // namespace samebits
