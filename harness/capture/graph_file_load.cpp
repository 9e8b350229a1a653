#include <ATen/core/dispatch/Dispatcher.h>
#include <fmt/format.h>

#include <algorithm>

#include "harness/capture/abstract_call.h"
#include "harness/capture/graph_check.h"
#include "harness/capture/graph_file.h"
#include "harness/capture/graph_format.h"
#include "harness/capture/graph_text.h"
#include "harness/dispatch/schema.h"

namespace samebits {
namespace {

using ir::Arg;
using ir::ValueId;

// Finds what a parsed file names: operators, dtypes, tensors, objects. Values keep their numbers.
class Resolver {
 public:
  Resolver(const GraphText& text, const GraphReferences& references)
      : text_(text), references_(references) {}
  ir::Graph resolve();

 private:
  ir::ValueMeta meta(const GraphText::Value& value) const;
  at::Tensor constant(const GraphText::Value& value, const ir::ValueMeta& meta) const;
  void name(ValueId id);
  Arg arg(const GraphText::Arg& arg, const c10::Argument& declared) const;
  void node(const GraphText::Node& node);
  void results(const GraphText::Node& text, ir::Node& node);
  ValueId result(const GraphText::Result& text, size_t which, const ir::Node& node);

  const GraphText& text_;
  const GraphReferences& references_;
  ir::Graph graph_;
};

c10::ScalarType dtype_from(const JsonReader& reader) {
  const std::string name = reader.string();
  for (int i = 0; i < static_cast<int>(c10::ScalarType::NumOptions); ++i) {
    const auto dtype = static_cast<c10::ScalarType>(i);
    if (name == c10::toString(dtype)) return dtype;
  }
  reader.fail(quoted(name), "a dtype, such as \"BFloat16\"");
}

c10::OperatorHandle operator_from(const JsonReader& reader) {
  const std::string name = reader.string();
  const size_t library = name.find("::");
  const size_t dot = library == std::string::npos ? library : name.find('.', library);
  const std::string overload = dot == std::string::npos ? "" : name.substr(dot + 1);
  const auto op = c10::Dispatcher::singleton().findSchema({name.substr(0, dot), overload});
  if (!op) reader.fail("operator " + quoted(name), "one that this program has");
  if (!may_be_called(*op)) {
    reader.fail("operator " + quoted(name), "one that a graph may call, which has a shape rule");
  }
  return *op;
}

// ---- Values ------------------------------------------------------------------------------------
ir::ValueMeta Resolver::meta(const GraphText::Value& value) const {
  return {value.sizes, dtype_from(value.where.required("dtype")), value.placements};
}

void Resolver::name(ValueId id) {
  graph_.values[id].name = text_.values[id].name;
  graph_.values[id].site = text_.values[id].site;
}

at::Tensor Resolver::constant(const GraphText::Value& value, const ir::ValueMeta& meta) const {
  const JsonReader reader = value.where.required("tensor");
  const std::string name = reader.string();
  const at::Tensor tensor = references_.constant(name);
  if (!tensor.defined()) reader.fail("constant " + quoted(name), "one that is known");
  const auto text = [](const std::string& dtype, const std::string& sizes,
                       const std::string& placements) {
    return dtype + "[" + sizes + "]" + (placements.empty() ? "" : " ") + placements;
  };
  std::string found_sizes;
  for (const int64_t size : tensor.sizes()) {
    found_sizes += (found_sizes.empty() ? "" : ", ") + std::to_string(size);
  }
  std::string sizes;
  for (const sym::Expr& size : meta.sizes) sizes += (sizes.empty() ? "" : ", ") + size.str();
  const std::string found =
      text(c10::toString(tensor.scalar_type()), found_sizes, placements_text(tensor));
  const std::string expected = text(c10::toString(meta.dtype), sizes, meta.placements);
  if (found != expected) reader.fail(quoted(name) + ", a " + found, "a " + expected);
  return tensor;
}

// ---- Arguments ---------------------------------------------------------------------------------
// The type that an argument would have on the stack.
c10::TypePtr type_of(const Arg& arg) {
  if (std::holds_alternative<Arg::Ref>(arg.data)) return c10::TensorType::get();
  if (std::holds_alternative<sym::Expr>(arg.data)) return c10::IntType::get();
  if (const auto* list = std::get_if<Arg::List>(&arg.data)) {
    return c10::ListType::create(list->element_type);
  }
  return std::get<c10::IValue>(arg.data).type();
}

bool fits(const c10::Type& type, const c10::Argument& declared) {
  const bool is_scalar = declared.type()->kind() == c10::TypeKind::NumberType;
  return type.isSubtypeOf(*declared.type()) ||
         (is_scalar && type.kind() == c10::TypeKind::BoolType);
}

// An argument of a graph, by what the file has.
struct ArgOf {
  const GraphText::Arg& text;
  const c10::Argument& declared;
  const GraphReferences& references;

  Arg operator()(std::monostate) const { return {c10::IValue()}; }
  Arg operator()(const sym::Expr& e) const { return {e}; }
  Arg operator()(GraphText::Ref ref) const { return {Arg::Ref{ref.value}}; }

  Arg operator()(const GraphText::Refs& refs) const {
    Arg::List list{refs.may_lack ? c10::TypePtr(c10::OptionalType::ofTensor())
                                 : c10::TypePtr(c10::TensorType::get()),
                   {}};
    for (const std::optional<int> value : refs.values) {
      list.items.push_back(value ? Arg{Arg::Ref{*value}} : Arg{c10::IValue()});
    }
    return {std::move(list)};
  }

  Arg operator()(const std::vector<sym::Expr>& sizes) const {
    Arg::List list{c10::IntType::get(), {}};
    for (const sym::Expr& size : sizes) list.items.push_back({size});
    return {std::move(list)};
  }

  Arg operator()(const GraphText::Name& named) const {
    const std::string name = named.name.string();
    if (named.kind == "dtype") {
      if (!graph_format::is_dtype(declared.real_type())) {
        text.where.fail(text.where.shown(), declared.type()->repr_str());
      }
      return {c10::IValue(static_cast<int64_t>(dtype_from(named.name)))};
    }
    if (named.kind == "device") {
      if (name == graph_format::kDeviceOfRun) return {c10::IValue(references.device)};
      try {
        return {c10::IValue(c10::Device(name))};
      } catch (const c10::Error&) {
        named.name.fail(quoted(name), "a device: \"run\" or \"cpu\"");
      }
    }
    c10::IValue object = references.object(name);
    if (object.isNone()) named.name.fail("object " + quoted(name), "one that is known");
    return {std::move(object)};
  }

  template <typename T>
  Arg operator()(const T& value) const {
    return {c10::IValue(value)};
  }
};

Arg Resolver::arg(const GraphText::Arg& text, const c10::Argument& declared) const {
  Arg arg = std::visit(ArgOf{text, declared, references_}, text.data);
  if (!fits(*type_of(arg), declared)) {
    text.where.fail(text.where.shown(), declared.type()->repr_str());
  }
  return arg;
}

// ---- Nodes -------------------------------------------------------------------------------------
// The value that a return is, where the operator writes it and gives it back.
std::optional<ValueId> written_value(const ir::Node& node, size_t result) {
  const auto argument = written_argument(node.op.schema(), result);
  const auto* ref = argument ? std::get_if<Arg::Ref>(&node.args[*argument].data) : nullptr;
  return ref ? std::optional(ref->value) : std::nullopt;
}

ValueId Resolver::result(const GraphText::Result& text, size_t which, const ir::Node& node) {
  if (const auto written = written_value(node, which)) {
    if (!text.is_written || text.value != *written) {
      text.where.fail(text.where.shown(), quoted(text_.values[*written].name) +
                                              ", which the operator writes and gives back");
    }
    return *written;
  }
  if (text.is_written) text.where.fail(text.where.shown(), "a value that is defined here");
  const ValueId id = graph_.add_result(meta(text_.values[text.value]));
  name(id);
  return id;
}

void Resolver::results(const GraphText::Node& text, ir::Node& node) {
  const auto& returns = node.op.schema().returns();
  if (!node.returns_list && text.results.size() != returns.size()) {
    text.where.required("results").fail(std::to_string(text.results.size()) + " results",
                                        std::to_string(returns.size()));
  }
  for (size_t i = 0; i < text.results.size(); ++i) {
    const size_t which = node.returns_list ? 0 : i;
    const c10::Argument& declared = returns[which];
    const bool is_tensor =
        node.returns_list || declared.type()->isSubtypeOf(*c10::TensorType::get());
    if (!is_tensor) {
      text.results[i].where.fail("a result of type " + declared.type()->repr_str(), "a tensor");
    }
    node.outputs.push_back(result(text.results[i], which, node));
  }
}

void Resolver::node(const GraphText::Node& text) {
  const c10::OperatorHandle op = operator_from(text.where.required("op"));
  ir::Node node{op, {}, {}, returns_tensor_list(op)};
  const JsonReader args = text.where.required("args");
  std::vector<std::string> names;
  for (const c10::Argument& declared : op.schema().arguments()) names.push_back(declared.name());
  args.object(names);
  for (const c10::Argument& declared : op.schema().arguments()) {
    args.required(declared.name());
    const auto found = std::find_if(text.args.begin(), text.args.end(), [&](const auto& named) {
      return named.first == declared.name();
    });
    node.args.push_back(arg(found->second, declared));
  }
  results(text, node);
  graph_.nodes.push_back(std::move(node));
}

// ---- The file ----------------------------------------------------------------------------------
// Which LibTorch wrote it is for a person: every call is checked against this one's schemas.
void check_origin(const GraphText& text) { text.file.required("libtorch").non_empty_string(); }

void check_model(const GraphText& text, const GraphModel& wanted) {
  const auto model = text.file.optional("model");
  if (!model) return;
  for (const std::string& key : model->keys()) {
    const JsonReader found = model->required(key);
    if (!wanted.contains(key)) found.fail(found.shown(), "no such key");
  }
  for (const auto& [key, expected] : wanted) {
    const JsonReader found = model->required(key);
    if (found.value() == expected) continue;
    found.fail(found.shown(), expected.dump() + ", as the model has it; trace it again");
  }
}

ir::Graph Resolver::resolve() {
  check_origin(text_);
  check_model(text_, references_.model);
  for (size_t i = 0; i < text_.symbols.size(); ++i) {
    const GraphText::Symbol& symbol = text_.symbols[i];
    graph_.symbols.push_back({symbol.name, symbol.hint, symbol.at_least});
    if (!symbol.binding) continue;
    graph_.bindings.push_back({static_cast<int>(i), symbol.binding->input, symbol.binding->dim});
  }
  for (int i = 0; i < text_.inputs; ++i) name(graph_.add_input(meta(text_.values[i])));
  for (int i = text_.inputs; i < text_.inputs + text_.constants; ++i) {
    const ir::ValueMeta declared = meta(text_.values[i]);
    name(graph_.add_constant(constant(text_.values[i], declared), declared));
  }
  for (const GraphText::Node& each : text_.nodes) node(each);
  graph_.outputs = text_.outputs;
  for (const GraphText::Guard& guard : text_.guards) {
    graph_.guards.push_back({guard.condition, guard.file, guard.line, guard.during});
  }
  ir::check(graph_);
  if (const auto mismatch = find_mismatch(graph_)) {
    text_.nodes[mismatch->node].where.fail(mismatch->found, mismatch->expected);
  }
  return std::move(graph_);
}

}  // namespace

ir::Graph load_graph(std::string_view text, const GraphReferences& references,
                     const std::string& file) {
  const GraphText parsed = parse_graph_text(text, file);
  return Resolver(parsed, references).resolve();
}

void check_graph_text(std::string_view text, const GraphModel& model, const std::string& file) {
  const GraphText parsed = parse_graph_text(text, file);
  check_origin(parsed);
  check_model(parsed, model);
  for (const GraphText::Node& node : parsed.nodes) operator_from(node.where.required("op"));
}

}  // namespace samebits
