#pragma once

#include <vector>

#include "harness/capture/ir/graph.h"

namespace samebits::passes {

// Builds a graph from another one, node by node. Values get new names in the order in which they
// are defined; constants are taken over at their first use. `source` must outlive the rewriter.
class GraphRewriter {
 public:
  // Takes over inputs, symbols, bindings and guards.
  explicit GraphRewriter(const ir::Graph& source);
  // A part of the source: `inputs` are values of the source, symbols are taken over, bindings and
  // guards are not.
  GraphRewriter(const ir::Graph& source, const std::vector<ir::ValueId>& inputs);

  // The value of the new graph that stands for a value of the source.
  ir::ValueId value(ir::ValueId source);
  // Makes `target`, a value of the new graph, stand for `source` from here on.
  void replace(ir::ValueId source, ir::ValueId target);
  // A new result that stands for `source`, with its metadata and site.
  ir::ValueId define(ir::ValueId source);
  // A constant and a result that stand for nothing of the source.
  ir::ValueId add_constant(at::Tensor tensor, ir::ValueMeta meta);
  ir::ValueId add_result(ir::ValueMeta meta);

  ir::Arg arg(const ir::Arg& source);
  // Appends the node with its arguments and results renamed.
  ir::Node& copy(const ir::Node& source);
  // Appends a node whose arguments and results are values of the new graph already.
  void append(ir::Node node);
  // The new value keeps the site that it has.
  void add_site(ir::ValueId target, const std::string& site);

  // The new graph, which returns what stands for `outputs`. Checks it.
  ir::Graph finish(const std::vector<ir::ValueId>& outputs);

 private:
  void add_input(ir::ValueId source);

  const ir::Graph& source_;
  ir::Graph graph_;
  std::vector<ir::ValueId> renamed_;  // by source id; -1: not yet
};

}  // namespace samebits::passes
