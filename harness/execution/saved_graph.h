#pragma once

#include <string>

#include "harness/capture/ir/graph.h"
#include "harness/model/decoder.h"

namespace samebits {

// A captured graph as a file, for who compiles or reads it (capture/graph_file.h). It names the
// parameters and tables that it takes by their names, and what else belongs to its program, such as
// sums of gradients, by number: "trainer[0]". Its key `model` says which program it is.
std::string saved_graph(const ir::Graph& graph, const Decoder& model, const std::string& program);

}  // namespace samebits
