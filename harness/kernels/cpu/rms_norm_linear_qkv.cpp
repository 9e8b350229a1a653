#include "harness/kernels/rms_norm_linear_qkv.h"

#include <torch/library.h>

#include <tuple>

#include "harness/kernels/cpu/block.h"
#include "harness/kernels/linear.h"

namespace samebits {
namespace {

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> rms_norm_linear_qkv(
    const at::Tensor& x, const at::Tensor& norm_weight, double eps, const at::Tensor& wq,
    const at::Tensor& wk, const at::Tensor& wv, at::ScalarType out_dtype) {
  const at::Tensor normed = cpu::rms_norm(x, norm_weight, eps, /*fused_rounding=*/false);
  const auto project = [&](const at::Tensor& weight) {
    return cpu::linear(normed, weight, /*slice=*/0, /*dgrad_slice=*/0, out_dtype);
  };
  return {normed, project(wq), project(wk), project(wv)};
}

TORCH_LIBRARY_IMPL(samebits, CPU, m) { m.impl("rms_norm_linear_qkv", rms_norm_linear_qkv); }

}  // namespace
}  // namespace samebits
