#pragma once

#include <ATen/core/Tensor.h>

// CPU kernels of a decoder block that others are made of: each is its operator's, and says what it
// does in the header of its name. Throw c10::Error for what does not meet.
namespace samebits::cpu {

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, bool fused_rounding);
at::Tensor silu_mul(const at::Tensor& gate, const at::Tensor& up, bool fused_rounding);
at::Tensor residual_add(const at::Tensor& x, const at::Tensor& y);

}  // namespace samebits::cpu
