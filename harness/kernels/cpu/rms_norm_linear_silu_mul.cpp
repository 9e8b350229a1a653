#include "harness/kernels/rms_norm_linear_silu_mul.h"

#include <torch/library.h>

#include <tuple>

#include "harness/kernels/cpu/block.h"
#include "harness/kernels/linear.h"

namespace samebits {
namespace {

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> rms_norm_linear_silu_mul(
    const at::Tensor& x, const at::Tensor& norm_weight, double eps, const at::Tensor& gate_weight,
    const at::Tensor& up_weight, at::ScalarType out_dtype) {
  const at::Tensor normed = cpu::rms_norm(x, norm_weight, eps, /*fused_rounding=*/false);
  const auto project = [&](const at::Tensor& weight) {
    return cpu::linear(normed, weight, /*slice=*/0, /*dgrad_slice=*/0, out_dtype);
  };
  const at::Tensor gate = project(gate_weight);
  const at::Tensor up = project(up_weight);
  return {normed, gate, up, cpu::silu_mul(gate, up, /*fused_rounding=*/false)};
}

TORCH_LIBRARY_IMPL(samebits, CPU, m) {
  m.impl("rms_norm_linear_silu_mul", rms_norm_linear_silu_mul);
}

}  // namespace
}  // namespace samebits
