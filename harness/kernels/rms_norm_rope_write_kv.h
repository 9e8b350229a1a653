#pragma once

// The norm of keys, head by head, their rotation, and the write of keys and values to their cache.
//
//   rms_norm_rope_write_kv_(x [1, T, G, D], weight [D], eps, cos [P, D/2], sin [P, D/2],
//                           positions int64 [1, T], k_cache, v_cache [blocks, block_size, G, D],
//                           v [1, T, G, D], slots int64 [T]) -> (normed, rotated), both as x
//
//   normed, rotated = rms_norm_rope(x, weight, eps, cos, sin, positions)     rms_norm_rope.h
//   write_kv(k_cache, v_cache, rotated, v, slots)                            flash_attention.h
//
// x, weight, v, both caches and both results have one dtype, bf16 or float32; cos and sin are
// float32. The bits, of the results and of the caches, are those of the operators one after the
// other, and so are the errors: nothing is written where a position has no row in cos. What a graph
// is given for the chain of them (capture/passes/fuse.h); it has no gradient.
