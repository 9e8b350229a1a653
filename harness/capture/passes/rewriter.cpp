#include "harness/capture/passes/rewriter.h"

#include <c10/util/Exception.h>

namespace samebits::passes {

using ir::ValueId;

GraphRewriter::GraphRewriter(const ir::Graph& source, const std::vector<ValueId>& inputs)
    : source_(source), renamed_(source.values.size(), -1) {
  for (const ValueId id : inputs) add_input(id);
  graph_.symbols = source.symbols;
}

GraphRewriter::GraphRewriter(const ir::Graph& source) : GraphRewriter(source, source.inputs) {
  graph_.bindings = source.bindings;
  graph_.guards = source.guards;
}

void GraphRewriter::add_input(ValueId source) {
  const ir::Value& value = source_.values[source];
  renamed_[source] = graph_.add_input(value.meta);
  add_site(renamed_[source], value.site);
}

ValueId GraphRewriter::value(ValueId source) {
  if (renamed_[source] >= 0) return renamed_[source];
  const ir::Value& value = source_.values[source];
  TORCH_INTERNAL_ASSERT(value.kind == ir::ValueKind::constant, value.name, " is not defined");
  renamed_[source] = graph_.add_constant(value.constant, value.meta);
  add_site(renamed_[source], value.site);
  return renamed_[source];
}

void GraphRewriter::replace(ValueId source, ValueId target) { renamed_[source] = target; }

ValueId GraphRewriter::define(ValueId source) {
  const ir::Value& value = source_.values[source];
  renamed_[source] = graph_.add_result(value.meta);
  add_site(renamed_[source], value.site);
  return renamed_[source];
}

ValueId GraphRewriter::add_constant(at::Tensor tensor, ir::ValueMeta meta) {
  return graph_.add_constant(std::move(tensor), std::move(meta));
}

ValueId GraphRewriter::add_result(ir::ValueMeta meta) { return graph_.add_result(std::move(meta)); }

ir::Arg GraphRewriter::arg(const ir::Arg& source) {
  if (const auto* ref = std::get_if<ir::Arg::Ref>(&source.data)) {
    return {ir::Arg::Ref{value(ref->value)}};
  }
  const auto* list = std::get_if<ir::Arg::List>(&source.data);
  if (!list) return source;
  ir::Arg::List renamed{list->element_type, {}};
  for (const ir::Arg& item : list->items) renamed.items.push_back(arg(item));
  return {std::move(renamed)};
}

ir::Node& GraphRewriter::copy(const ir::Node& source) {
  ir::Node node{source.op, {}, {}, source.returns_list};
  for (const ir::Arg& each : source.args) node.args.push_back(arg(each));
  for (const ValueId id : source.outputs) {
    // What is written in place stands for itself already.
    node.outputs.push_back(renamed_[id] >= 0 ? renamed_[id] : define(id));
  }
  graph_.nodes.push_back(std::move(node));
  return graph_.nodes.back();
}

void GraphRewriter::append(ir::Node node) { graph_.nodes.push_back(std::move(node)); }

void GraphRewriter::add_site(ValueId target, const std::string& site) {
  ir::Value& value = graph_.values[target];
  if (value.site.empty()) value.site = site;
}

ir::Graph GraphRewriter::finish(const std::vector<ValueId>& outputs) {
  for (const ValueId id : outputs) graph_.outputs.push_back(value(id));
  ir::check(graph_);
  return std::move(graph_);
}

}  // namespace samebits::passes
