#pragma once

#include <memory>
#include <string>
#include <vector>

#include "harness/capture/ir/graph.h"

namespace samebits::passes {

// A stretch of a graph, as a graph of its own. Its inputs are the values that it needs from before
// it, its outputs those that something after it needs: the ones that it defines and, of its inputs,
// the ones that it writes in place. Constants are its own, by reference, like the whole's.
//
// It has the symbols of the whole with the same ids, but neither bindings nor guards: sizes of its
// inputs are expressions, so Executor::run() must be given the symbols' values, which the whole's
// inputs bind.
struct Piece {
  std::shared_ptr<const ir::Graph> graph;
  std::vector<ir::ValueId> inputs;   // values of the whole, in the order of the piece's inputs
  std::vector<ir::ValueId> outputs;  // the same for its outputs
  bool at_split = false;             // only operators at which the graph was split
};

// Run in order, the pieces are the whole. Neighbouring pieces differ in `at_split`.
struct SplitGraph {
  std::shared_ptr<const ir::Graph> whole;
  std::vector<Piece> pieces;
  std::vector<std::string> log;  // one line for each piece
};

// Cuts the graph before and after every run of calls of these operators
// ("samebits::paged_attention"; dispatch/operator_traits.h has those of attention).
SplitGraph split(std::shared_ptr<const ir::Graph> whole, const std::vector<std::string>& operators);

}  // namespace samebits::passes
