#include "harness/capture/ir/graph.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>

#include "harness/dispatch/schema.h"

namespace samebits::ir {

bool Node::has_effect() const {
  const auto& arguments = op.schema().arguments();
  return outputs.empty() || std::any_of(arguments.begin(), arguments.end(), is_written);
}

std::string op_name(const c10::OperatorHandle& op) {
  const c10::OperatorName& name = op.operator_name();
  return name.overload_name.empty() ? name.name
                                    : fmt::format("{}.{}", name.name, name.overload_name);
}

const Arg& argument(const Node& node, const std::string& name) {
  const auto index = node.op.schema().argumentIndexWithName(name);
  TORCH_CHECK(index, op_name(node.op), " has no argument ", name);
  return node.args[static_cast<size_t>(*index)];
}

namespace {

ValueId add_value(Graph& graph, ValueKind kind, ValueMeta meta, const char* prefix) {
  const auto count = std::count_if(graph.values.begin(), graph.values.end(),
                                   [&](const Value& value) { return value.kind == kind; });
  Value value;
  value.kind = kind;
  value.meta = std::move(meta);
  value.name = fmt::format("%{}{}", prefix, count);
  graph.values.push_back(std::move(value));
  return static_cast<ValueId>(graph.values.size()) - 1;
}

}  // namespace

ValueId Graph::add_input(ValueMeta meta) {
  inputs.push_back(add_value(*this, ValueKind::input, std::move(meta), "in"));
  return inputs.back();
}

ValueId Graph::add_constant(at::Tensor tensor, ValueMeta meta) {
  const ValueId id = add_value(*this, ValueKind::constant, std::move(meta), "c");
  values[id].constant = std::move(tensor);
  return id;
}

ValueId Graph::add_result(ValueMeta meta) {
  return add_value(*this, ValueKind::result, std::move(meta), "");
}

void check(const Graph& graph) {
  std::vector<bool> defined(graph.values.size(), false);
  const auto use = [&](ValueId id) {
    TORCH_INTERNAL_ASSERT(id >= 0 && id < static_cast<ValueId>(defined.size()), "no value ", id);
    TORCH_INTERNAL_ASSERT(defined[id], graph.values[id].name, " is used before it is defined");
  };
  for (size_t i = 0; i < graph.values.size(); ++i) {
    defined[i] = graph.values[i].kind != ValueKind::result;
  }
  for (const Node& node : graph.nodes) {
    TORCH_INTERNAL_ASSERT(node.args.size() == node.op.schema().arguments().size());
    std::vector<ValueId> arguments;
    for (const Arg& arg : node.args) {
      for_each_value(arg, [&](ValueId id) {
        use(id);
        arguments.push_back(id);
      });
    }
    for (const ValueId id : node.outputs) {
      const bool in_place = std::count(arguments.begin(), arguments.end(), id) != 0;
      TORCH_INTERNAL_ASSERT(in_place || !defined.at(id), graph.values[id].name, " is defined twice");
      defined[id] = true;
    }
  }
  for (const ValueId id : graph.outputs) use(id);
}

}  // namespace samebits::ir
