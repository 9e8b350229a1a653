#pragma once

// The residual stream's addition and the norm of its result, in one pass over the rows.
//
//   residual_rms_norm(x [..., D], y [..., D], weight [D], eps) -> (sum [..., D], normed [..., D])
//
//   sum = residual_add(x, y)                                              residual_add.h
//   normed = rms_norm(sum, weight, eps, fused_rounding = false)           rms_norm.h
//
// x, y, weight and both results have one dtype, bf16 or float32. Nothing is left out between the
// two: the norm reads the sum as it was rounded, so the bits are those of the two operators. What
// a graph is given for the pair of them (capture/passes/fuse.h); it has no gradient.
