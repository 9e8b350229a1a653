#pragma once

#include <vector>

#include "harness/capture/ir/graph.h"

namespace samebits::passes {

// Whether a call does nothing but give its results: it writes no argument, gives something back and
// draws no random numbers. Schemas are trusted.
bool is_pure(const ir::Node& node);

// The values among the arguments that a call writes.
std::vector<ir::ValueId> written_values(const ir::Node& node);

// Which values of a graph may share memory. Views are known by their schemas, the placement
// operators (from_local, to_local, redistribute, full_tensor) are taken for views. Constants share
// memory where their storages are one; an input may share memory with any input and any constant.
// What is asked beyond that is answered with "may".
class Memory {
 public:
  explicit Memory(const ir::Graph& graph);

  bool may_alias(ir::ValueId a, ir::ValueId b) const;
  // Whether any node of the graph may write the value's memory.
  bool may_be_written(ir::ValueId value) const;

 private:
  // Pieces of memory by number; 0 stands for that of the inputs.
  using Roots = std::vector<int>;
  bool overlap(const Roots& a, const Roots& b) const;

  std::vector<Roots> roots_;  // by value, sorted
  int outside_ = 1;           // the numbers below are memory of inputs and constants
  Roots written_;
};

}  // namespace samebits::passes
