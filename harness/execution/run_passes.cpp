#include "harness/execution/run_passes.h"

#include "harness/capture/passes/common_subexpressions.h"
#include "harness/capture/passes/dead_code.h"
#include "harness/capture/passes/drop_roundings.h"
#include "harness/capture/passes/fuse.h"

namespace samebits {
namespace {

passes::PassResult run_pass(GraphPass pass, const ir::Graph& graph) {
  switch (pass) {
    case GraphPass::kCommonSubexpressions:
      return passes::common_subexpressions(graph);
    case GraphPass::kDeadCode:
      return passes::dead_code(graph);
    case GraphPass::kDropRoundings:
      return passes::drop_roundings(graph);
    case GraphPass::kFuse:
      return passes::fuse(graph);
  }
  throw std::logic_error("unreachable");
}

}  // namespace

ir::Graph run_passes(ir::Graph graph, const std::vector<GraphPass>& passes) {
  for (const GraphPass pass : passes) graph = run_pass(pass, graph).graph;
  return graph;
}

}  // namespace samebits
