#pragma once

#include "harness/capture/passes/pass.h"

namespace samebits::passes {

// Merges pure nodes (effects.h) that call one operator with equal arguments: the first result
// stands for the second. Equal means equal bits: 0.0 is not -0.0. Not merged are calls with a write
// to memory of their arguments between them, calls whose results may be written later, and calls
// of whose results both may be returned (the caller would get one tensor twice).
PassResult common_subexpressions(const ir::Graph& graph);

}  // namespace samebits::passes
