#pragma once

// Attention over a paged cache with what comes before it: the norms of queries and keys, head by
// head, their rotations, and the write of keys and values.
//
//   rms_norm_rope_paged_attention_(q [1, T, H, D], q_weight [D], k [1, T, G, D], k_weight [D], eps,
//                                  cos [P, D/2], sin [P, D/2], positions int64 [1, T],
//                                  k_cache, v_cache [blocks, block_size, G, D], v [1, T, G, D],
//                                  slots int64 [T], block_table int32 [S, max_blocks],
//                                  cu_seqlens int32 [S + 1], seq_lens int32 [S], scale)
//       -> (q_normed, q_rotated, both as q; k_normed, k_rotated, both as k; out as q)
//
//   q_normed, q_rotated, k_normed, k_rotated = rms_norm_rope_qk_write_kv_(...)
//                                                                 rms_norm_rope_qk_write_kv.h
//   out = paged_attention(q_rotated, k_cache, v_cache, block_table, cu_seqlens, seq_lens, scale)
//                                                                          flash_attention.h
//
// Everything is written before attention reads, wherever slots lie. Dtypes as in the two. The bits,
// of the results and of the caches, are those of the two operators, and so are the errors. What a
// graph is given for the pair of them (capture/passes/fuse.h); it has no gradient.
