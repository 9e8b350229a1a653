#pragma once

#include <memory>
#include <string>
#include <vector>

#include "harness/graph/emulated_graph.h"
#include "harness/graph/emulated_pool.h"
#include "harness/graph/static_graph.h"

namespace samebits::testing {

// A program captured by itself on a CPU.
class Emulated : public StaticGraph {
 public:
  Emulated(const std::string& name, std::shared_ptr<Arena> arena, const Program& program,
           const std::vector<at::Tensor>& examples)
      : StaticGraph(name, std::make_shared<EmulatedPool>(std::move(arena)), program, examples) {}

  EmulatedGraph& graph() { return dynamic_cast<EmulatedGraph&>(StaticGraph::graph()); }
  GraphOutput output(size_t index) { return graph().reference(index); }
  const ReplayWitness& witness() { return graph().witness(); }

  // Copies of the outputs.
  std::vector<at::Tensor> replay_with(const std::vector<at::Tensor>& values) {
    copy_inputs(values);
    replay();
    std::vector<at::Tensor> outputs;
    for (size_t i = 0; i < graph().outputs(); ++i) outputs.push_back(output(i).read());
    return outputs;
  }
};

}  // namespace samebits::testing
