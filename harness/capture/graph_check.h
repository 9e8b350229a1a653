#pragma once

#include <optional>
#include <string>

#include "harness/capture/ir/graph.h"

namespace samebits {

// Whether a graph may call `op`: it is one of samebits's own operators or of those of ATen that a
// program of ours uses, which is to say that it has a shape rule (kernels/shape_rule.h). They
// compute with the tensors that they are given and reach nothing else.
bool may_be_called(const c10::OperatorHandle& op);

// A node that does not give what its graph says of it.
struct GraphMismatch {
  size_t node;
  std::string found;
  std::string expected;
};

// Goes through a graph's calls without data, as tracing went through them (abstract_call.h), at the
// hints of its symbols: that every operator takes these arguments, and gives as many results, of
// these sizes, dtypes and placements, as the graph has. nullopt where all do.
std::optional<GraphMismatch> find_mismatch(const ir::Graph& graph);

}  // namespace samebits
