#pragma once

#include "harness/capture/passes/pass.h"

namespace samebits::passes {

// Replaces neighbours by one operator that rounds where they round, so the bits stay:
//   samebits::residual_add whose sum samebits::rms_norm takes -> samebits::residual_rms_norm
//   samebits::rms_norm whose result samebits::rope rotates    -> samebits::rms_norm_rope
//   and samebits::write_kv of what that rotated               -> samebits::rms_norm_rope_write_kv_
// All results stay, so what else uses them may. Left alone are norms without their inner rounding
// and inverse rotations, placements that change between arguments and results (a write of local
// tensors, under TP, is one), results that are written in place, pairs of which the second needs
// what is not there before the first or is written between the two, and writes to memory that
// something between the two may touch.
PassResult fuse(const ir::Graph& graph);

}  // namespace samebits::passes
