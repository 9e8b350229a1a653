#pragma once

#include "harness/capture/passes/pass.h"

namespace samebits::passes {

// Removes the pure nodes (effects.h) whose results nobody needs. A node that writes or draws random
// numbers stays, and so does samebits::mark, which keeps alive what it names. Guards stay.
PassResult dead_code(const ir::Graph& graph);

}  // namespace samebits::passes
