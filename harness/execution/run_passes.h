#pragma once

#include <vector>

#include "harness/capture/ir/graph.h"
#include "harness/execution/mode.h"

namespace samebits {

// The graph after a mode's passes, in their order.
ir::Graph run_passes(ir::Graph graph, const std::vector<GraphPass>& passes);

}  // namespace samebits
