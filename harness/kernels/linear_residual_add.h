#pragma once

// A row-parallel product and the residual stream's addition of it, in one pass over the weight.
//
//   linear_residual_add(x [..., K], weight [N, K], slice, out_dtype, residual [..., N])
//       -> (y [..., N], sum [..., N])
//
//   y = linear(x, weight, slice, out_dtype)                                    linear.h
//   sum = residual_add(residual, y)                                            residual_add.h
//
// x and weight have one dtype; y, the residual and the sum have out_dtype; each is bf16 or float32.
// Nothing is left out between the two: the sum takes y as it was rounded, so the bits are those of
// the two operators. What a graph is given for the pair of them (capture/passes/fuse.h); it has no
// gradient.
