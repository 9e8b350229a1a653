#include "harness/capture/passes/dead_code.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/capture/passes/effects.h"
#include "harness/capture/passes/rewriter.h"
#include "harness/capture/print.h"

namespace samebits::passes {

PassResult dead_code(const ir::Graph& graph) {
  std::vector<bool> needed(graph.values.size(), false);
  for (const ir::ValueId id : graph.outputs) needed[id] = true;
  std::vector<bool> stays(graph.nodes.size(), false);
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const ir::Node& node = graph.nodes[i];
    stays[i] = !is_pure(node) || std::any_of(node.outputs.begin(), node.outputs.end(),
                                             [&](ir::ValueId id) { return needed[id]; });
    if (!stays[i]) continue;
    for (const ir::Arg& arg : node.args) {
      ir::for_each_value(arg, [&](ir::ValueId id) { needed[id] = true; });
    }
  }

  GraphRewriter rewriter(graph);
  std::vector<std::string> log;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (stays[i]) {
      rewriter.copy(graph.nodes[i]);
    } else {
      log.push_back(fmt::format("removed {}", to_string(graph, graph.nodes[i])));
    }
  }
  return {rewriter.finish(graph.outputs), std::move(log)};
}

}  // namespace samebits::passes
