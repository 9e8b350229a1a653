#pragma once

#include "harness/capture/passes/pass.h"

namespace samebits::passes {

// Replaces neighbours by one operator that rounds where they round, so the bits stay:
//   samebits::residual_add whose sum samebits::rms_norm takes -> samebits::residual_rms_norm
//   samebits::rms_norm whose result samebits::rope rotates    -> samebits::rms_norm_rope
// Both results stay. Left alone are norms without their inner rounding and inverse rotations,
// placements that change between arguments and results, sums and norms that are written in place,
// and pairs of which the second needs what is not there before the first or is written between the
// two.
PassResult fuse(const ir::Graph& graph);

}  // namespace samebits::passes
