#pragma once

// The norms of queries and of keys, head by head, their rotations, and the write of keys and values
// to their cache.
//
//   rms_norm_rope_qk_write_kv_(q [1, T, H, D], q_weight [D], k [1, T, G, D], k_weight [D], eps,
//                              cos [P, D/2], sin [P, D/2], positions int64 [1, T],
//                              k_cache, v_cache [blocks, block_size, G, D], v [1, T, G, D],
//                              slots int64 [T])
//       -> (q_normed, q_rotated, both as q; k_normed, k_rotated, both as k)
//
//   q_normed, q_rotated = rms_norm_rope(q, q_weight, eps, cos, sin, positions)  rms_norm_rope.h
//   k_normed, k_rotated = rms_norm_rope_write_kv_(k, k_weight, eps, cos, sin, positions,
//                                                 k_cache, v_cache, v, slots)
//                                                                       rms_norm_rope_write_kv.h
//
// All but cos and sin (float32), positions and slots have one dtype, bf16 or float32. The bits, of
// the results and of the caches, are those of the two operators, and so are the errors. What a
// graph is given for the pair of them (capture/passes/fuse.h); it has no gradient.

#include <ATen/core/Tensor.h>

#include <tuple>

namespace samebits::cpu {

// The CPU kernel behind the operator. Throws c10::Error for what does not meet.
std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> rms_norm_rope_qk_write_kv_(
    const at::Tensor& q, const at::Tensor& q_weight, const at::Tensor& k,
    const at::Tensor& k_weight, double eps, const at::Tensor& cos, const at::Tensor& sin,
    const at::Tensor& positions, const at::Tensor& k_cache, const at::Tensor& v_cache,
    const at::Tensor& v, const at::Tensor& slots);

}  // namespace samebits::cpu
