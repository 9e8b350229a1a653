#pragma once

#include <string>

#include "harness/compare/call_graph.h"
#include "harness/observe/computation.h"

namespace samebits {

// The calls of `a`, beside those of `b`: both led to the same site, in arms of these names, and the
// i-th call of an operator in one is taken for the i-th in the other. Views are left out, since they
// compute nothing.
CallGraph call_graph_of(const Computation& a, const Computation& b, const std::string& arm_a,
                        const std::string& arm_b, const std::string& place);

}  // namespace samebits
