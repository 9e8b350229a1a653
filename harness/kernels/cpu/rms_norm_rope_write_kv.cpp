#include "harness/kernels/rms_norm_rope_write_kv.h"

#include <torch/library.h>

#include "harness/kernels/flash_attention.h"
#include "harness/kernels/rms_norm_rope.h"

namespace samebits {
namespace {

std::tuple<at::Tensor, at::Tensor> rms_norm_rope_write_kv_(
    const at::Tensor& x, const at::Tensor& weight, double eps, const at::Tensor& cos,
    const at::Tensor& sin, const at::Tensor& positions, const at::Tensor& k_cache,
    const at::Tensor& v_cache, const at::Tensor& v, const at::Tensor& slots) {
  auto results = cpu::rms_norm_rope(x, weight, eps, cos, sin, positions);
  cpu::write_kv(k_cache, v_cache, /*k=*/std::get<1>(results), v, slots);
  return results;
}

TORCH_LIBRARY_IMPL(samebits, CPU, m) { m.impl("rms_norm_rope_write_kv_", rms_norm_rope_write_kv_); }

}  // namespace
}  // namespace samebits
