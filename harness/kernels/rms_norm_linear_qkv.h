#pragma once

// The norm before attention and the projections of it to queries, keys and values.
//
//   rms_norm_linear_qkv(x [..., D], norm_weight [D], eps, wq [NQ, D], wk [NK, D], wv [NV, D],
//                       out_dtype) -> (normed [..., D], q [..., NQ], k [..., NK], v [..., NV])
//
//   normed = rms_norm(x, norm_weight, eps, fused_rounding = false)             rms_norm.h
//   q = linear(normed, wq, slice = 0, out_dtype); k and v likewise             linear.h
//
// x, the weights and normed have one dtype, q, k and v have out_dtype; each is bf16 or float32.
// Nothing is left out between norm and products: they read the norm as it was rounded, so the bits
// are those of the four operators. What a graph is given for them (capture/passes/fuse.h); it has
// no gradient.
