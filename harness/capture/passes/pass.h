#pragma once

#include <string>
#include <vector>

#include "harness/capture/ir/graph.h"

namespace samebits::passes {

// What a pass gives back: the new graph, for which ir::check() holds, and what it did, one line for
// each change, in the names of the graph that it read. A pass that found nothing to do says nothing
// and gives a graph that prints like the one it read. Values are numbered anew, and constants that
// no node needs any more are gone.
//
// A pass keeps the bits of every output and every write, unless its header says that it does not.
struct PassResult {
  ir::Graph graph;
  std::vector<std::string> log;
};

}  // namespace samebits::passes
