#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/capture/ir/graph.h"
#include "harness/capture/persistent/stages.h"

namespace samebits::passes {

// Who defines and who uses each value of a graph. Marks are no users, and a view is looked through:
// it has the elements of what it views, in their order.
class Dataflow {
 public:
  explicit Dataflow(const ir::Graph& graph);

  // What a chain of views begins with.
  ir::ValueId viewed(ir::ValueId value) const;
  // The node that defines what a value views; none: an input or a constant.
  std::optional<size_t> definition(ir::ValueId value) const;
  // The nodes that use a value or a view of it, in program order, each once.
  const std::vector<size_t>& users(ir::ValueId value) const { return users_[viewed(value)]; }
  bool is_view(size_t node) const;
  bool is_mark(size_t node) const;

 private:
  const ir::Graph& graph_;
  std::vector<int> defined_at_;  // by value; -1: before the first node
  std::vector<std::vector<size_t>> users_;
};

// A stage and the nodes that it does the work of.
struct MatchedStage {
  Stage stage;
  std::vector<size_t> nodes;
};

// The stages of a graph, in the order of their last nodes. A node is of one stage at most.
std::vector<MatchedStage> match_stages(const ir::Graph& graph, const Dataflow& flow);

// The widths of what stages leave each other.
DecodeWidths widths_of(const ir::Graph& graph, const std::vector<Stage>& stages);

}  // namespace samebits::passes
