#include "harness/execution/captured.h"

#include <algorithm>
#include <utility>

#include "harness/execution/run_passes.h"
#include "harness/execution/saved_graph.h"

namespace samebits {
namespace {

// Those that the mode leaves dynamic, with the sizes that it traces at.
std::vector<DynamicDim> dims_of(const Mode& mode, std::vector<DynamicDim> dims) {
  if (mode.dynamic) {
    std::erase_if(dims, [&](const DynamicDim& dim) {
      return std::count(mode.dynamic->begin(), mode.dynamic->end(), dim.symbol) == 0;
    });
  }
  for (DynamicDim& dim : dims) {
    const auto asked = mode.traced_at.find(dim.symbol);
    if (asked != mode.traced_at.end()) dim.traced_at = asked->second;
  }
  return dims;
}

}  // namespace

GraphProgram::GraphProgram(const Mode& mode, ProgramSpec spec)
    : ExecutedProgram(mode, spec),
      parameters_(spec.model),
      captured_(program(), dims_of(mode, std::move(spec.dynamic_dims)), mode.guards, spec.level) {
  captured_.set_transform(
      [passes = mode.passes](ir::Graph graph) { return run_passes(std::move(graph), passes); });
  if (spec.graph) captured_.add_graph(run_passes(*std::move(spec.graph), mode.passes));
}

std::vector<at::Tensor> GraphProgram::run(const std::vector<at::Tensor>& inputs, ReplayDigests*) {
  check_parameters();
  return captured_(on_device(inputs));
}

std::vector<std::string> GraphProgram::saved_graphs() const {
  std::vector<std::string> saved;
  for (const auto& graph : graphs()) saved.push_back(saved_graph(*graph, model(), name()));
  return saved;
}

Witness GraphProgram::witness() const {
  const CaptureWitness counted = captured_.witness();
  Witness witness;
  // Tracing enters the program without computing; every other entry is eager work.
  witness.eager_calls = entries() - counted.traces;
  witness.traces = counted.traces;
  witness.runs = counted.runs;
  witness.nodes = counted.nodes_executed;
  witness.guards_checked = counted.guards_checked;
  witness.guards_false = counted.guards_false;
  witness.loads = counted.loads;
  return witness;
}

}  // namespace samebits
