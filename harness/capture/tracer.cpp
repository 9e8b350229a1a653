#include "harness/capture/tracer.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <unordered_map>

#include "harness/base/error.h"
#include "harness/capture/abstract_call.h"
#include "harness/dispatch/dispatch_mode.h"
#include "harness/kernels/fake_tensor.h"

namespace samebits {
namespace {

using ir::Arg;
using ir::ValueId;

// Which value of which trace an abstract tensor is. Autograd copies what it saves, below the
// dispatcher; a copy shares this.
struct ValueTag final : c10::BackendMeta {
  ValueTag(ShapeEnv trace_env, ValueId value) : env(std::move(trace_env)), id(value) {}
  ShapeEnv env;
  ValueId id;
};

// The graph of one program run, built call by call.
class Tracer final : public DispatchMode {
 public:
  explicit Tracer(ShapeEnv env) : env_(std::move(env)) {}

  at::Tensor add_input(const at::Tensor& example, const std::vector<sym::Expr>& sizes);
  void call(const c10::OperatorHandle& op, torch::jit::Stack* stack) override;
  ir::Graph finish(const std::vector<at::Tensor>& outputs, std::vector<ir::SymbolBinding> bindings);

 private:
  // The calls' arguments as the graph keeps them. Lists are copied: whoever made them may reuse
  // them.
  Arg arg_from_ivalue(const c10::IValue& value);
  ValueId value_of(const at::Tensor& tensor);
  std::optional<ValueId> known_value_of(const at::Tensor& tensor) const;
  ValueId add_result(const at::Tensor& tensor);
  void name_value(const c10::IValue& tensor, const std::string& site);
  void track(const at::Tensor& tensor, ValueId id);

  ShapeEnv env_;
  ir::Graph graph_;
  std::unordered_map<const c10::TensorImpl*, ValueId> constants_;  // alive: the graph holds them
  std::vector<size_t> guards_before_;  // of each node: guards asked before its call
  std::vector<size_t> guards_after_;
};

at::Tensor Tracer::add_input(const at::Tensor& example, const std::vector<sym::Expr>& sizes) {
  std::vector<c10::SymInt> sym_sizes;
  for (const sym::Expr& size : sizes) sym_sizes.push_back(env_.sym_int_from_expr(size));
  at::Tensor fake = make_abstract_like(example, sym_sizes);
  track(fake, graph_.add_input(meta_of(fake, env_)));
  return fake;
}

void Tracer::track(const at::Tensor& tensor, ValueId id) {
  tensor.unsafeGetTensorImpl()->set_backend_meta(c10::make_intrusive<ValueTag>(env_, id));
}

std::optional<ValueId> Tracer::known_value_of(const at::Tensor& tensor) const {
  if (!is_abstract(tensor)) {
    const auto known = constants_.find(tensor.unsafeGetTensorImpl());
    return known == constants_.end() ? std::nullopt : std::optional(known->second);
  }
  const auto* tag = dynamic_cast<ValueTag*>(tensor.unsafeGetTensorImpl()->get_backend_meta());
  return tag && tag->env == env_ ? std::optional(tag->id) : std::nullopt;
}

ValueId Tracer::value_of(const at::Tensor& tensor) {
  if (const auto known = known_value_of(tensor)) return *known;
  TORCH_CHECK(!is_abstract(tensor), "a traced tensor of another trace is used: ", tensor.sym_sizes());
  const ValueId id = graph_.add_constant(tensor, meta_of(tensor, env_));
  constants_[tensor.unsafeGetTensorImpl()] = id;
  return id;
}

ValueId Tracer::add_result(const at::Tensor& tensor) {
  if (!is_abstract(tensor) || known_value_of(tensor)) return value_of(tensor);  // in place
  const ValueId id = graph_.add_result(meta_of(tensor, env_));
  track(tensor, id);
  return id;
}

Arg Tracer::arg_from_ivalue(const c10::IValue& value) {
  if (value.isTensor()) {
    if (!value.toTensor().defined()) return {c10::IValue()};
    return {Arg::Ref{value_of(value.toTensor())}};
  }
  if (value.isTensorList() || value.isOptionalTensorList()) {
    Arg::List list{value.toList().elementType(), {}};
    for (const c10::IValue& item : value.toListRef()) list.items.push_back(arg_from_ivalue(item));
    return {std::move(list)};
  }
  if (value.isSymInt()) return {env_.expr_from_sym_int(value.toSymInt())};
  if (value.isSymIntList()) {
    Arg::List list{c10::IntType::get(), {}};
    for (const c10::IValue& item : value.toListRef()) {
      list.items.push_back({env_.expr_from_sym_int(item.toSymInt())});
    }
    return {std::move(list)};
  }
  TORCH_CHECK_NOT_IMPLEMENTED(!value.isSymFloat() && !value.isSymBool(),
                              "a symbolic argument that is not an integer: ", value);
  return {value.isList() ? value.deepcopy() : value};
}

void Tracer::name_value(const c10::IValue& tensor, const std::string& site) {
  ir::Value& value = graph_.values[value_of(tensor.toTensor())];
  if (value.site.empty()) value.site = site;
}

void Tracer::call(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const std::string name = ir::op_name(op);
  const size_t count = op.schema().arguments().size();
  const std::vector<c10::IValue> args(stack->end() - count, stack->end());
  guards_before_.push_back(env_.guards().size());
  env_.set_location(name);

  // The arguments first: what they were is recorded even where the operator writes to them.
  ir::Node node{op, {}, {}, returns_tensor_list(op)};
  for (const c10::IValue& arg : args) node.args.push_back(arg_from_ivalue(arg));
  std::vector<at::Tensor> results;
  try {
    results = abstract_call(op, args);
  } catch (c10::Error& error) {
    error.add_context("while tracing " + name);
    throw;
  }
  for (const at::Tensor& result : results) node.outputs.push_back(add_result(result));
  if (name == "samebits::mark") name_value(args[0], args[1].toStringRef());

  graph_.nodes.push_back(std::move(node));
  guards_after_.push_back(env_.guards().size());
  env_.set_location("");
  torch::jit::drop(*stack, count);
  if (returns_tensor_list(op)) {
    stack->emplace_back(c10::List<at::Tensor>(results));
  } else {
    for (at::Tensor& result : results) stack->emplace_back(std::move(result));
  }
}

ir::Graph Tracer::finish(const std::vector<at::Tensor>& outputs,
                         std::vector<ir::SymbolBinding> bindings) {
  for (const at::Tensor& output : outputs) {
    TORCH_CHECK(output.defined(), "a captured program returns an undefined tensor");
    graph_.outputs.push_back(value_of(output));
  }
  // Marks come after the calls that they name, so the guards learn their sites now.
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    const ir::Node& node = graph_.nodes[i];
    if (node.outputs.empty() || graph_.values[node.outputs[0]].site.empty()) continue;
    env_.relocate(guards_before_[i], guards_after_[i],
                  ir::op_name(node.op) + " in " + graph_.values[node.outputs[0]].site);
  }
  graph_.bindings = std::move(bindings);
  graph_.symbols = env_.symbols();
  graph_.guards = env_.guards();
  ir::check(graph_);
  return std::move(graph_);
}

std::string dim_text(const DynamicDim& dim) {
  return "dynamic dimension " + std::to_string(dim.dim) + " of input " + std::to_string(dim.input) +
         " (" + dim.symbol + ")";
}

}  // namespace

ir::Graph trace(const Program& program, const std::vector<at::Tensor>& example_inputs,
                const std::vector<DynamicDim>& dynamic_dims, ShapeEnv& env, ModeLevel level) {
  TORCH_CHECK(env.symbols().empty(), "a shape environment serves one trace, this one has symbols");
  const c10::AutoGradMode autograd(level == ModeLevel::kBelowAutograd);
  // Sizes of every input: static, then symbols over them.
  std::vector<std::vector<sym::Expr>> sizes;
  for (const at::Tensor& example : example_inputs) {
    sizes.emplace_back(example.sizes().begin(), example.sizes().end());
  }
  std::vector<ir::SymbolBinding> bindings;
  for (const DynamicDim& dim : dynamic_dims) {
    if (dim.input < 0 || dim.input >= static_cast<int>(sizes.size())) {
      throw InputError(dim_text(dim), std::to_string(sizes.size()) + " inputs", "that input");
    }
    auto& shape = sizes[dim.input];
    if (dim.dim < 0 || dim.dim >= static_cast<int>(shape.size())) {
      throw InputError(dim_text(dim), std::to_string(shape.size()) + " dimensions",
                       "that dimension");
    }
    const sym::Expr symbol = env.create_symbol(
        dim.symbol, dim.traced_at.value_or(example_inputs[dim.input].size(dim.dim)), dim.at_least);
    shape[dim.dim] = symbol;
    const int id = symbol.as_atom()->id;
    if (id == static_cast<int>(bindings.size())) bindings.push_back({id, dim.input, dim.dim});
  }

  Tracer tracer(env);
  std::vector<at::Tensor> inputs;
  for (size_t i = 0; i < example_inputs.size(); ++i) {
    inputs.push_back(tracer.add_input(example_inputs[i], sizes[i]));
  }
  std::vector<at::Tensor> outputs;
  {
    const DispatchModeGuard on(tracer, level);
    outputs = program(inputs);
  }
  return tracer.finish(outputs, std::move(bindings));
}

}  // namespace samebits
