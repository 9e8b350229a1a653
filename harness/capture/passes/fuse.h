#pragma once

#include "harness/capture/passes/pass.h"

namespace samebits::passes {

// Replaces neighbours by one operator that rounds where they round, so the bits stay;
// fuse_patterns.h has all that are known, by their operators:
//   rms_norm, and three linears of it                  -> rms_norm_linear_qkv
//   rms_norm, two linears of it, and their silu_mul    -> rms_norm_linear_silu_mul
//   linear, and its residual_add                       -> linear_residual_add
//   residual_add, and rms_norm of the sum              -> residual_rms_norm
//   rms_norm, and rope of it                           -> rms_norm_rope
//   that, and write_kv of what it rotated              -> rms_norm_rope_write_kv_
//   rms_norm_rope, and rms_norm_rope_write_kv_ of the
//   same positions                                     -> rms_norm_rope_qk_write_kv_
//   that, and paged_attention of the same caches       -> rms_norm_rope_paged_attention_
// All results stay, so what else uses them may. The operator stands where the first one stood. Left
// alone are norms and gates without their inner rounding, inverse rotations, products in slices
// that a norm stands before, placements that change between arguments and results (a write of local
// tensors, under TP, is one), results that are written in place, neighbours of which one needs
// what is not there before the first or is written in between, and writes to memory that something
// in between may touch.
PassResult fuse(const ir::Graph& graph);

}  // namespace samebits::passes
