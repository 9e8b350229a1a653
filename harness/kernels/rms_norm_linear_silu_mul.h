#pragma once

// The norm before the feed-forward block, its two projections, and their gated activation.
//
//   rms_norm_linear_silu_mul(x [..., D], norm_weight [D], eps, gate_weight [F, D],
//                            up_weight [F, D], out_dtype)
//       -> (normed [..., D], gate [..., F], up [..., F], y [..., F])
//
//   normed = rms_norm(x, norm_weight, eps, fused_rounding = false)             rms_norm.h
//   gate = linear(normed, gate_weight, slice = 0, out_dtype); up likewise      linear.h
//   y = silu_mul(gate, up, fused_rounding = false)                             silu_mul.h
//
// x, the weights and normed have one dtype, gate, up and y have out_dtype; each is bf16 or float32.
// Every result is rounded before the next step reads it, so the bits are those of the four
// operators. What a graph is given for them (capture/passes/fuse.h); it has no gradient.
