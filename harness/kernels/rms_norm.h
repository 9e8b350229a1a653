#pragma once

#include <stdint.h>

// Root-mean-square norm over the last dimension.
//
//   rms_norm(x [..., D], weight [D], eps, fused_rounding) -> y [..., D], dtype of x
//   rms_norm_dgrad(dy [..., D], x, weight, eps) -> dx [..., D], dtype of x
//   rms_norm_wgrad_(dy, x, eps, starts?, sum float32 [D])
//
// x, weight and dy have one dtype, bf16 or float32. A row is one vector of D; its bits depend on
// nothing but itself. Operations are float32, one rounding each, in the order written:
//
//   q = strided sum of x[i] * x[i];   r = 1 / sqrt(q / D + eps)
//   y[i] = round(weight[i] * round(x[i] * r))      `round` is to x's dtype
//
// Strided sum: kRmsNormLanes partial sums from +0, partial l taking the terms i = l, l + lanes,
// ... in ascending order; then partial[l] += partial[l + w] for w = lanes / 2, ..., 2, 1.
//
// With `fused_rounding` the inner rounding is left out, as a fusing compiler does. That is the
// negative control: in bf16 it must be seen to differ.
//
// Gradients take the rounding of x * r as the identity, as autograd takes a cast:
//   g[i] = dy[i] * weight[i];   h[i] = x[i] * r;   c = strided sum of (g[i] * h[i]), / D
//   dx[i] = round(r * (g[i] - h[i] * c))
//   sum[i] += the sum over rows of dy[i] * h[i]
// The rows of each sequence (`starts`: step_gradient.h) are cut into blocks of kRmsNormBlockRows; a
// block is summed from +0 in ascending order, and the blocks' sums are added to `sum` one by one,
// ascending. Several groups have such sums from +0, and `sum` is the tree over them.
//
// Source of the semantics: Qwen3RMSNorm of Transformers (the cast back to bf16 comes before the
// multiplication by the weight).
namespace samebits {

constexpr int64_t kRmsNormLanes = 16;
constexpr int64_t kRmsNormBlockRows = 32;

}  // namespace samebits
