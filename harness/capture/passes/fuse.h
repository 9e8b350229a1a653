#pragma once

#include "harness/capture/passes/pass.h"

namespace samebits::passes {

// Replaces neighbours by one operator that rounds where they round, so the bits stay:
//   samebits::residual_add whose sum samebits::rms_norm takes -> samebits::residual_rms_norm
// where the norm keeps its inner rounding, the placements of the arguments and results are one, and
// the norm's weight is there, and not written, between the two.
PassResult fuse(const ir::Graph& graph);

}  // namespace samebits::passes
