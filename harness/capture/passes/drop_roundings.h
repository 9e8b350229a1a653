#pragma once

#include "harness/capture/passes/pass.h"

namespace samebits::passes {

// The negative control: does not keep the bits. Every operator that can leave out an inner rounding
// (samebits::rms_norm, samebits::silu_mul: their argument `fused_rounding`) is told to, as a fusing
// compiler would. In bf16 a comparison with eager must see it. Comes before fuse(), whose operators
// always round.
PassResult drop_roundings(const ir::Graph& graph);

}  // namespace samebits::passes
