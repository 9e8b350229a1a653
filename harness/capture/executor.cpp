#include "harness/capture/executor.h"

#include <ATen/core/stack.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include "harness/base/error.h"
#include "harness/capture/abstract_call.h"
#include "harness/capture/sym/evaluator.h"
#include "harness/dispatch/device_error.h"

namespace samebits {
namespace {

using ir::Arg;
using ir::ValueId;

// How one argument gets on the stack. Constants of the graph are `ready` too: only inputs and
// results are looked up.
struct ArgPlan {
  enum class Kind { ready, value, integer, list };
  Kind kind = Kind::ready;
  c10::IValue ready;
  int index = 0;          // value: its slot; integer: its register
  bool last_use = false;  // value: moved out of its slot
  c10::TypePtr element_type;
  std::vector<ArgPlan> items;
};

struct NodePlan {
  c10::OperatorHandle op;
  std::vector<ArgPlan> args;
  std::vector<int> outputs;  // slots; -1: nobody needs it
  bool returns_list;
};

}  // namespace

struct Executor::Plan {
  explicit Plan(std::shared_ptr<const ir::Graph> source);

  std::shared_ptr<const ir::Graph> graph;
  sym::Evaluator evaluator;
  std::vector<NodePlan> nodes;
  std::vector<std::string> placements;  // of each input
  int64_t nodes_executed = 0;
  // Of the run in progress, kept for their capacity.
  std::vector<c10::IValue> slots;
  torch::jit::Stack stack;

  ArgPlan plan_arg(const Arg& arg);
  void mark_last_uses();
  c10::IValue build(ArgPlan& arg, const std::vector<int64_t>& registers);
  void execute(NodePlan& node, const std::vector<int64_t>& registers);
  // Empty, or why the inputs do not fit; fills `symbols`.
  std::optional<InputError> bind(const std::vector<at::Tensor>& inputs,
                                 std::vector<int64_t>& symbols) const;
};

Executor::Plan::Plan(std::shared_ptr<const ir::Graph> source)
    : graph(std::move(source)), evaluator(static_cast<int>(graph->symbols.size())) {
  for (const ir::Node& node : graph->nodes) {
    NodePlan plan{node.op, {}, {node.outputs.begin(), node.outputs.end()}, node.returns_list};
    for (const Arg& arg : node.args) plan.args.push_back(plan_arg(arg));
    nodes.push_back(std::move(plan));
  }
  mark_last_uses();
  slots.resize(graph->values.size());
}

ArgPlan Executor::Plan::plan_arg(const Arg& arg) {
  ArgPlan plan;
  if (const auto* value = std::get_if<c10::IValue>(&arg.data)) {
    plan.ready = *value;
  } else if (const auto* ref = std::get_if<Arg::Ref>(&arg.data)) {
    const ir::Value& value = graph->values[ref->value];
    if (value.kind == ir::ValueKind::constant) {
      plan.ready = value.constant;
    } else {
      plan.kind = ArgPlan::Kind::value;
      plan.index = ref->value;
    }
  } else if (const auto* e = std::get_if<sym::Expr>(&arg.data)) {
    plan.kind = ArgPlan::Kind::integer;
    plan.index = evaluator.add(*e);
  } else {
    const auto& list = std::get<Arg::List>(arg.data);
    plan.kind = ArgPlan::Kind::list;
    plan.element_type = list.element_type;
    for (const Arg& item : list.items) plan.items.push_back(plan_arg(item));
  }
  return plan;
}

void Executor::Plan::mark_last_uses() {
  std::vector<bool> needed(graph->values.size(), false);
  for (const ValueId id : graph->outputs) needed[id] = true;
  const auto visit = [&](ArgPlan& arg, const auto& self) -> void {
    for (size_t i = arg.items.size(); i-- > 0;) self(arg.items[i], self);
    if (arg.kind != ArgPlan::Kind::value) return;
    arg.last_use = !needed[arg.index];
    needed[arg.index] = true;
  };
  for (size_t i = nodes.size(); i-- > 0;) {
    NodePlan& node = nodes[i];
    for (int& slot : node.outputs) {
      const bool is_constant = graph->values[slot].kind == ir::ValueKind::constant;
      if (!needed[slot] || is_constant) slot = -1;
    }
    for (size_t k = node.args.size(); k-- > 0;) visit(node.args[k], visit);
  }
}

c10::IValue Executor::Plan::build(ArgPlan& arg, const std::vector<int64_t>& registers) {
  switch (arg.kind) {
    case ArgPlan::Kind::ready:
      return arg.ready;
    case ArgPlan::Kind::value:
      if (arg.last_use) return std::move(slots[arg.index]);
      return slots[arg.index];
    case ArgPlan::Kind::integer:
      return registers[arg.index];
    case ArgPlan::Kind::list:
      break;
  }
  c10::impl::GenericList list(arg.element_type);
  list.reserve(arg.items.size());
  for (ArgPlan& item : arg.items) list.emplace_back(build(item, registers));
  return list;
}

void Executor::Plan::execute(NodePlan& node, const std::vector<int64_t>& registers) {
  for (ArgPlan& arg : node.args) stack.push_back(build(arg, registers));
  naming_operator(node.op, [&] { node.op.callBoxed(stack); });
  ++nodes_executed;
  if (node.returns_list) {
    const c10::IValue list = std::move(stack.back());
    const auto items = list.toListRef();
    TORCH_CHECK(items.size() == node.outputs.size(), ir::op_name(node.op), " returned ",
                items.size(), " tensors where tracing saw ", node.outputs.size());
    for (size_t i = 0; i < items.size(); ++i) {
      if (node.outputs[i] >= 0) slots[node.outputs[i]] = items[i];
    }
  } else {
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] >= 0) slots[node.outputs[i]] = std::move(stack[i]);
    }
  }
  stack.clear();
}

std::optional<InputError> Executor::Plan::bind(const std::vector<at::Tensor>& inputs,
                                               std::vector<int64_t>& symbols) const {
  const auto error = [](size_t input, const std::string& what, const std::string& found,
                        const std::string& expected) {
    return InputError("captured program, input " + std::to_string(input) + ", " + what, found,
                      expected);
  };
  if (inputs.size() != graph->inputs.size()) {
    return InputError("captured program", std::to_string(inputs.size()) + " inputs",
                      std::to_string(graph->inputs.size()));
  }
  TORCH_CHECK(graph->bindings.size() == graph->symbols.size(),
              "the graph's inputs do not bind its symbols, as those of a piece do not; run it with "
              "their values");
  symbols.resize(graph->symbols.size());
  for (const ir::SymbolBinding& binding : graph->bindings) {
    const at::Tensor& input = inputs[binding.input];
    if (binding.dim < input.dim()) symbols[binding.symbol] = input.size(binding.dim);
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const ir::ValueMeta& meta = graph->values[graph->inputs[i]].meta;
    if (inputs[i].dim() != static_cast<int64_t>(meta.sizes.size())) {
      return error(i, "rank", std::to_string(inputs[i].dim()), std::to_string(meta.sizes.size()));
    }
    if (inputs[i].scalar_type() != meta.dtype) {
      return error(i, "dtype", c10::toString(inputs[i].scalar_type()), c10::toString(meta.dtype));
    }
    if (const std::string found = placements_text(inputs[i]); found != meta.placements) {
      return error(i, "placements", "\"" + found + "\"", "\"" + meta.placements + "\"");
    }
    for (size_t d = 0; d < meta.sizes.size(); ++d) {
      const int64_t size = inputs[i].size(d);
      const sym::AtomPtr atom = meta.sizes[d].as_atom();
      const sym::AtomPtr symbol = atom && atom->kind == sym::AtomKind::symbol ? atom : nullptr;
      const int64_t expected = meta.sizes[d].evaluate(symbols);
      const std::string where = "size of dimension " + std::to_string(d);
      if (size != expected) {
        return error(i, where, std::to_string(size),
                     std::to_string(expected) + (symbol ? " (" + symbol->name + ")" : ""));
      }
      if (symbol && size < symbol->at_least) {
        return error(i, where, std::to_string(size),
                     "at least " + std::to_string(symbol->at_least) + " (" + symbol->name + ")");
      }
    }
  }
  return std::nullopt;
}

Executor::Executor(std::shared_ptr<const ir::Graph> graph)
    : plan_(std::make_unique<Plan>(std::move(graph))) {}
Executor::~Executor() = default;
Executor::Executor(Executor&&) noexcept = default;

const ir::Graph& Executor::graph() const { return *plan_->graph; }
int64_t Executor::nodes_executed() const { return plan_->nodes_executed; }

std::vector<int64_t> Executor::bind(const std::vector<at::Tensor>& inputs) const {
  std::vector<int64_t> symbols;
  if (const auto error = plan_->bind(inputs, symbols)) throw *error;
  return symbols;
}

std::optional<std::vector<int64_t>> Executor::try_bind(
    const std::vector<at::Tensor>& inputs) const {
  std::vector<int64_t> symbols;
  if (plan_->bind(inputs, symbols)) return std::nullopt;
  return symbols;
}

std::vector<at::Tensor> Executor::run(const std::vector<at::Tensor>& inputs) {
  return run(inputs, bind(inputs));
}

std::vector<at::Tensor> Executor::run(const std::vector<at::Tensor>& inputs,
                                      const std::vector<int64_t>& symbols) {
  const c10::NoGradGuard no_grad;
  Plan& plan = *plan_;
  const ir::Graph& graph = *plan.graph;
  // Nothing outlives the run, whether it ends or throws.
  struct Release {
    Plan& plan;
    ~Release() {
      plan.stack.clear();
      for (c10::IValue& slot : plan.slots) slot = c10::IValue();
    }
  } release{plan};

  const std::vector<int64_t>& registers = plan.evaluator.evaluate(symbols);
  for (size_t i = 0; i < inputs.size(); ++i) plan.slots[graph.inputs[i]] = inputs[i];
  for (NodePlan& node : plan.nodes) plan.execute(node, registers);
  std::vector<at::Tensor> outputs;
  for (const ValueId id : graph.outputs) {
    const ir::Value& value = graph.values[id];
    const bool is_constant = value.kind == ir::ValueKind::constant;
    outputs.push_back(is_constant ? value.constant : plan.slots[id].toTensor());
  }
  return outputs;
}

}  // namespace samebits
