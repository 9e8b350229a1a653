#pragma once

// The norm of queries or keys, head by head, and their rotation, in one pass over the tokens.
//
//   rms_norm_rope(x [1, T, H, D], weight [D], eps, cos [P, D/2], sin [P, D/2],
//                 positions int64 [1, T]) -> (normed, rotated), both as x
//
//   normed = rms_norm(x, weight, eps, fused_rounding = false)                   rms_norm.h
//   rotated = rope(normed, cos, sin, positions, inverse = false)                rope.h
//
// x, weight and both results have one dtype, bf16 or float32; cos and sin are float32. Nothing is
// left out between the two: the rotation reads the norm as it was rounded, so the bits are those of
// the two operators. What a graph is given for the pair of them (capture/passes/fuse.h); it has no
// gradient. A position outside [0, P) is an error that names it.

#include <ATen/core/Tensor.h>

#include <tuple>

namespace samebits::cpu {

// The CPU kernel behind the operator. Throws c10::Error for what does not meet.
std::tuple<at::Tensor, at::Tensor> rms_norm_rope(const at::Tensor& x, const at::Tensor& weight,
                                                 double eps, const at::Tensor& cos,
                                                 const at::Tensor& sin,
                                                 const at::Tensor& positions);

}  // namespace samebits::cpu
