#include "harness/capture/passes/drop_roundings.h"

#include <fmt/format.h>

#include "harness/capture/passes/rewriter.h"
#include "harness/capture/print.h"

namespace samebits::passes {
namespace {

// The node's argument `fused_rounding` where there is one and it is false, else null.
ir::Arg* kept_rounding(ir::Node& node) {
  const auto index = node.op.schema().argumentIndexWithName("fused_rounding");
  if (!index) return nullptr;
  ir::Arg& arg = node.args[*index];
  const auto* value = std::get_if<c10::IValue>(&arg.data);
  return value && value->isBool() && !value->toBool() ? &arg : nullptr;
}

}  // namespace

PassResult drop_roundings(const ir::Graph& graph) {
  GraphRewriter rewriter(graph);
  std::vector<std::string> log;
  for (const ir::Node& source : graph.nodes) {
    ir::Arg* rounding = kept_rounding(rewriter.copy(source));
    if (!rounding) continue;
    rounding->data = c10::IValue(true);
    log.push_back(fmt::format("dropped a rounding of {}", to_string(graph, source)));
  }
  return {rewriter.finish(graph.outputs), std::move(log)};
}

}  // namespace samebits::passes
