#pragma once

#include <string>

#include "harness/capture/ir/graph.h"

namespace samebits {

// The graph as text, the same for the same program: one line an input, a constant, a node, a guard.
// Tensors are given by position, other arguments by name unless they are the default; a comment is
// the site that samebits::mark gave the result.
//   inputs:
//     %in0: i64[1, s0]
//   constants:
//     %c0: bf16[1003, 256]
//   nodes:
//     %0: bf16[1, s0, 256] = samebits::embedding(%in0, %c0, first_row=0)   # embedding
//   return %0
//   guards:
//     s0 >= 2  (asked at harness/model/qwen3.cpp:12 while tracing samebits::embedding in embedding)
std::string to_string(const ir::Graph& graph);
std::string to_string(const ir::Graph& graph, const ir::Node& node);

// An argument that holds no tensor, of the type that its operator declares: "1e-06", "bf16", "[0]".
std::string constant_text(const c10::IValue& value, const c10::TypePtr& type);

}  // namespace samebits
