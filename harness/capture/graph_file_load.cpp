#include <ATen/core/dispatch/Dispatcher.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <map>
#include <stdexcept>

#include "harness/capture/abstract_call.h"
#include "harness/capture/graph_file.h"
#include "harness/capture/graph_format.h"
#include "harness/capture/parse_expr.h"
#include "harness/core/json.h"

namespace samebits {
namespace {

using ir::Arg;
using ir::ValueId;

class Reader {
 public:
  explicit Reader(const GraphReferences& references) : references_(references) {}
  ir::Graph read(const JsonReader& file);

 private:
  // What a value is declared to be, before it has an id.
  struct Declaration {
    std::string name;
    std::string site;
    ir::ValueMeta meta;
  };

  void read_symbol(const JsonReader& symbol);
  void read_binding(const JsonReader& symbol, int id);
  void read_constant(const JsonReader& constant);
  void read_node(const JsonReader& node);
  void read_guard(const JsonReader& guard);
  Declaration declaration(const JsonReader& value, std::vector<std::string> more_keys = {}) const;
  void define(const JsonReader& reader, const Declaration& declared, ValueId id);

  sym::Expr expr(const JsonReader& reader) const;
  sym::Expr expr(const JsonReader& reader, std::string_view text) const;
  sym::Condition condition(const JsonReader& reader) const;
  ValueId value(const JsonReader& reader) const;
  Arg arg(const JsonReader& reader, const c10::Argument& declared) const;
  Arg tagged_arg(const JsonReader& reader, const c10::Argument& declared) const;
  void results(const JsonReader& reader, ir::Node& node);
  void result(const JsonReader& reader, const c10::Argument& declared, ir::Node& node);

  const GraphReferences& references_;
  ir::Graph graph_;
  std::vector<sym::Expr> symbols_;
  std::map<std::string, ValueId> ids_;  // of the values defined so far
};

c10::ScalarType dtype_from(const JsonReader& reader) {
  const std::string name = reader.string();
  for (int i = 0; i < static_cast<int>(c10::ScalarType::NumOptions); ++i) {
    const auto dtype = static_cast<c10::ScalarType>(i);
    if (name == c10::toString(dtype)) return dtype;
  }
  reader.fail(quoted(name), "a dtype, such as \"BFloat16\"");
}

double finite_or_bits(const JsonReader& reader) {
  if (!reader.value().is_object()) return reader.number();
  const JsonReader bits = reader.object({"double_bits"}).required("double_bits");
  const std::string text = bits.string();
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value, 16);
  if (text.size() != 16 || rest != end || error != std::errc()) {
    bits.fail(quoted(text), "16 hexadecimal digits");
  }
  return std::bit_cast<double>(value);
}

c10::OperatorHandle operator_from(const JsonReader& reader) {
  const std::string name = reader.string();
  const size_t library = name.find("::");
  const size_t dot = library == std::string::npos ? library : name.find('.', library);
  const std::string overload = dot == std::string::npos ? "" : name.substr(dot + 1);
  const auto op = c10::Dispatcher::singleton().findSchema({name.substr(0, dot), overload});
  if (!op) reader.fail("operator " + quoted(name), "one that this program has");
  return *op;
}

bool is_value_name(const std::string& name) {
  return name.size() > 1 && name[0] == '%' && std::all_of(name.begin() + 1, name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_';
         });
}

bool fits(const c10::Type& type, const c10::Argument& declared) {
  const bool is_scalar = declared.type()->kind() == c10::TypeKind::NumberType;
  return type.isSubtypeOf(*declared.type()) ||
         (is_scalar && type.kind() == c10::TypeKind::BoolType);
}

// ---- Symbols and expressions
// ---------------------------------------------------------------------
void Reader::read_symbol(const JsonReader& symbol) {
  symbol.object({"name", "hint", "at_least", "input", "dim"});
  const JsonReader name_reader = symbol.required("name");
  const std::string name = name_reader.string();
  if (!sym::is_symbol_name(name)) name_reader.fail(quoted(name), "letters, digits and _");
  for (const ShapeEnv::Symbol& other : graph_.symbols) {
    if (other.name == name) name_reader.fail(quoted(name) + " a second time", "every name once");
  }
  const int64_t at_least = symbol.required("at_least").integer();
  const int64_t hint = symbol.required("hint").integer(at_least);
  symbols_.push_back(sym::Expr::symbol(static_cast<int>(symbols_.size()), name, at_least));
  graph_.symbols.push_back({name, hint, at_least});
}

void Reader::read_binding(const JsonReader& symbol, int id) {
  if (!symbol.optional("input") && !symbol.optional("dim")) return;
  const auto last = [](size_t size) { return static_cast<int64_t>(size) - 1; };
  const int64_t input = symbol.required("input").integer(0, last(graph_.inputs.size()));
  const auto& sizes = graph_.values[graph_.inputs[input]].meta.sizes;
  const JsonReader dim_reader = symbol.required("dim");
  const int64_t dim = dim_reader.integer(0, last(sizes.size()));
  if (!(sizes[dim] == symbols_[id])) {
    dim_reader.fail("a dimension of size " + quoted(sizes[dim].str()),
                    "one of size " + quoted(graph_.symbols[id].name));
  }
  graph_.bindings.push_back({id, static_cast<int>(input), static_cast<int>(dim)});
}

sym::Expr Reader::expr(const JsonReader& reader, std::string_view text) const {
  try {
    return sym::parse_expr(text, symbols_);
  } catch (const std::invalid_argument& error) {
    reader.fail(quoted(text), error.what());
  } catch (const std::overflow_error&) {
    reader.fail(quoted(text), "an expression that stays within 64 bits");
  } catch (const std::domain_error&) {
    reader.fail(quoted(text), "no division by zero");
  }
}

sym::Expr Reader::expr(const JsonReader& reader) const {
  if (reader.value().is_string()) return expr(reader, reader.string());
  return reader.integer();
}

sym::Condition Reader::condition(const JsonReader& reader) const {
  if (reader.value().is_object()) {
    reader.object({"all", "any"});
    const bool all = reader.optional("all").has_value();
    sym::Condition c(all);
    for (const JsonReader& part : reader.required(all ? "all" : "any").array(/*min_size=*/2)) {
      c = all ? c && condition(part) : c || condition(part);
    }
    return c;
  }
  using Make = sym::Condition (*)(const sym::Expr&, const sym::Expr&);
  const std::pair<std::string_view, Make> kinds[] = {
      {" == 0", sym::Condition::eq}, {" != 0", sym::Condition::ne}, {" >= 0", sym::Condition::ge}};
  const std::string text = reader.string();
  for (const auto& [suffix, make] : kinds) {
    if (!text.ends_with(suffix)) continue;
    const std::string_view compared(text.data(), text.size() - suffix.size());
    const sym::Expr e = expr(reader, compared);
    try {
      const sym::Condition c = make(e, 0);
      if (!c.constant()) return c;
    } catch (const std::overflow_error&) {
      reader.fail(quoted(text), "an expression that stays within 64 bits");
    }
    reader.fail(quoted(text), "a condition that sizes decide");
  }
  reader.fail(quoted(text), "an expression and \" == 0\", \" != 0\" or \" >= 0\"");
}

void Reader::read_guard(const JsonReader& guard) {
  guard.object({"holds", "file", "line", "during"});
  graph_.guards.push_back({condition(guard.required("holds")), guard.required("file").string(),
                           guard.required("line").integer(0), guard.required("during").string()});
}

// ---- Values
// --------------------------------------------------------------------------------------
Reader::Declaration Reader::declaration(const JsonReader& value,
                                        std::vector<std::string> more_keys) const {
  std::vector<std::string> keys{"name", "dtype", "sizes", "placements", "site"};
  keys.insert(keys.end(), more_keys.begin(), more_keys.end());
  value.object(keys);
  Declaration declared;
  declared.name = value.required("name").string();
  declared.meta.dtype = dtype_from(value.required("dtype"));
  for (const JsonReader& size : value.required("sizes").array()) {
    declared.meta.sizes.push_back(expr(size));
  }
  if (const auto text = value.optional("placements")) declared.meta.placements = text->string();
  if (const auto text = value.optional("site")) declared.site = text->string();
  return declared;
}

void Reader::define(const JsonReader& reader, const Declaration& declared, ValueId id) {
  const std::string& name = declared.name;
  if (!is_value_name(name)) {
    reader.fail("the name " + quoted(name), "\"%\" and letters, digits or _");
  }
  if (!ids_.emplace(name, id).second) {
    reader.fail(quoted(name) + " a second time", "every value to be defined once");
  }
  graph_.values[id].name = name;
  graph_.values[id].site = declared.site;
}

ValueId Reader::value(const JsonReader& reader) const {
  const auto found = ids_.find(reader.string());
  if (found == ids_.end()) {
    reader.fail(quoted(reader.string()), "a value that is defined before it is used");
  }
  return found->second;
}

void Reader::read_constant(const JsonReader& constant) {
  const Declaration declared = declaration(constant, {"tensor"});
  const JsonReader tensor_reader = constant.required("tensor");
  const std::string name = tensor_reader.string();
  const at::Tensor tensor = references_.constant(name);
  if (!tensor.defined()) tensor_reader.fail("constant " + quoted(name), "one that is known");
  const auto text = [](const std::string& dtype, const std::string& sizes,
                       const std::string& placements) {
    return dtype + "[" + sizes + "]" + (placements.empty() ? "" : " ") + placements;
  };
  std::string found_sizes;
  for (const int64_t size : tensor.sizes()) {
    found_sizes += (found_sizes.empty() ? "" : ", ") + std::to_string(size);
  }
  std::string sizes;
  for (const sym::Expr& size : declared.meta.sizes) {
    sizes += (sizes.empty() ? "" : ", ") + size.str();
  }
  const std::string found =
      text(c10::toString(tensor.scalar_type()), found_sizes, placements_text(tensor));
  const std::string expected =
      text(c10::toString(declared.meta.dtype), sizes, declared.meta.placements);
  if (found != expected) tensor_reader.fail(quoted(name) + ", a " + found, "a " + expected);
  define(constant, declared, graph_.add_constant(tensor, declared.meta));
}

// ---- Nodes
// ---------------------------------------------------------------------------------------
Arg Reader::tagged_arg(const JsonReader& reader, const c10::Argument& declared) const {
  reader.object({"str", "dtype", "device", "double_bits", "size", "sizes", "tensors",
                 "optional_tensors", "ints", "doubles", "bools", "strs", "object"});
  const std::vector<std::string> keys = reader.keys();
  if (keys.size() != 1) reader.fail(reader.shown(), "an object of one key");
  const std::string& kind = keys[0];
  const JsonReader inner = reader.required(kind);
  const auto list_of = [&](const auto& example, auto read) {
    c10::List<std::decay_t<decltype(example)>> list;
    for (const JsonReader& item : inner.array()) list.push_back(read(item));
    return c10::IValue(std::move(list));
  };
  if (kind == "str") return {c10::IValue(inner.string())};
  if (kind == "double_bits") return {c10::IValue(finite_or_bits(reader))};
  if (kind == "size") return {expr(inner)};
  if (kind == "ints") return {list_of(int64_t{}, [](auto& item) { return item.integer(); })};
  if (kind == "doubles") return {list_of(double{}, finite_or_bits)};
  if (kind == "bools") return {list_of(bool{}, [](auto& item) { return item.boolean(); })};
  if (kind == "strs") return {list_of(std::string(), [](auto& item) { return item.string(); })};
  if (kind == "dtype") {
    if (!graph_format::is_dtype(declared.real_type())) {
      reader.fail(reader.shown(), declared.type()->repr_str());
    }
    return {c10::IValue(static_cast<int64_t>(dtype_from(inner)))};
  }
  if (kind == "device") {
    try {
      return {c10::IValue(c10::Device(inner.string()))};
    } catch (const c10::Error&) {
      inner.fail(quoted(inner.string()), "a device, such as \"cpu\"");
    }
  }
  if (kind == "object") {
    c10::IValue object = references_.object(inner.string());
    if (object.isNone()) inner.fail("object " + quoted(inner.string()), "one that is known");
    return {std::move(object)};
  }
  const bool optional = kind == "optional_tensors";
  Arg::List list;
  list.element_type = kind == "sizes" ? c10::TypePtr(c10::IntType::get())
                      : optional      ? c10::TypePtr(c10::OptionalType::ofTensor())
                                      : c10::TypePtr(c10::TensorType::get());
  for (const JsonReader& item : inner.array()) {
    if (kind == "sizes") {
      list.items.push_back({expr(item)});
    } else if (optional && item.value().is_null()) {
      list.items.push_back({c10::IValue()});
    } else {
      list.items.push_back({Arg::Ref{value(item)}});
    }
  }
  return {std::move(list)};
}

// The type that an argument would have on the stack.
c10::TypePtr type_of(const Arg& arg) {
  if (std::holds_alternative<Arg::Ref>(arg.data)) return c10::TensorType::get();
  if (std::holds_alternative<sym::Expr>(arg.data)) return c10::IntType::get();
  if (const auto* list = std::get_if<Arg::List>(&arg.data)) {
    return c10::ListType::create(list->element_type);
  }
  return std::get<c10::IValue>(arg.data).type();
}

Arg Reader::arg(const JsonReader& reader, const c10::Argument& declared) const {
  const Json& json = reader.value();
  Arg arg;
  if (json.is_string()) {
    arg = {Arg::Ref{value(reader)}};
  } else if (json.is_boolean()) {
    arg = {c10::IValue(reader.boolean())};
  } else if (json.is_number_integer()) {
    arg = {c10::IValue(reader.integer())};
  } else if (json.is_number()) {
    arg = {c10::IValue(reader.number())};
  } else if (!json.is_null()) {
    arg = tagged_arg(reader, declared);
  }
  if (!fits(*type_of(arg), declared)) reader.fail(reader.shown(), declared.type()->repr_str());
  return arg;
}

// The value that a return is, where the operator writes it and gives it back.
std::optional<ValueId> written_argument(const c10::Argument& result, const ir::Node& node) {
  if (!result.alias_info() || !result.alias_info()->isWrite()) return std::nullopt;
  const auto& arguments = node.op.schema().arguments();
  for (size_t i = 0; i < arguments.size(); ++i) {
    const c10::AliasInfo* alias = arguments[i].alias_info();
    const auto* ref = std::get_if<Arg::Ref>(&node.args[i].data);
    if (alias && ref && alias->beforeSets() == result.alias_info()->beforeSets()) return ref->value;
  }
  return std::nullopt;
}

void Reader::result(const JsonReader& reader, const c10::Argument& declared, ir::Node& node) {
  if (const auto written = written_argument(declared, node)) {
    const std::string& name = graph_.values[*written].name;
    if (reader.string() != name) {
      reader.fail(reader.shown(), quoted(name) + ", which the operator writes and gives back");
    }
    node.outputs.push_back(*written);
    return;
  }
  const Declaration result = declaration(reader);
  const ValueId id = graph_.add_result(result.meta);
  define(reader, result, id);
  node.outputs.push_back(id);
}

void Reader::results(const JsonReader& reader, ir::Node& node) {
  const auto& returns = node.op.schema().returns();
  const std::vector<JsonReader> items = reader.array();
  if (!node.returns_list && items.size() != returns.size()) {
    reader.fail(std::to_string(items.size()) + " results", std::to_string(returns.size()));
  }
  for (size_t i = 0; i < items.size(); ++i) {
    const c10::Argument& declared = returns[node.returns_list ? 0 : i];
    const bool is_tensor =
        node.returns_list || declared.type()->isSubtypeOf(*c10::TensorType::get());
    if (!is_tensor) items[i].fail("a result of type " + declared.type()->repr_str(), "a tensor");
    result(items[i], declared, node);
  }
}

void Reader::read_node(const JsonReader& node_reader) {
  node_reader.object({"op", "args", "results"});
  const c10::OperatorHandle op = operator_from(node_reader.required("op"));
  ir::Node node{op, {}, {}, returns_tensor_list(op)};
  std::vector<std::string> names;
  for (const c10::Argument& declared : op.schema().arguments()) names.push_back(declared.name());
  const JsonReader args = node_reader.required("args");
  args.object(names);
  for (const c10::Argument& declared : op.schema().arguments()) {
    node.args.push_back(arg(args.required(declared.name()), declared));
  }
  results(node_reader.required("results"), node);
  graph_.nodes.push_back(std::move(node));
}

// ---- The file
// ------------------------------------------------------------------------------------
void check_version(const JsonReader& file) {
  const JsonReader format = file.required("format");
  if (format.string() != graph_format::kName) {
    format.fail(format.shown(), quoted(graph_format::kName));
  }
  const JsonReader version = file.required("version");
  if (version.integer() != graph_format::kVersion) {
    version.fail(version.shown(), std::to_string(graph_format::kVersion));
  }
  const JsonReader libtorch = file.required("libtorch");
  if (libtorch.string() != graph_format::libtorch_version()) {
    libtorch.fail(libtorch.shown(), quoted(graph_format::libtorch_version()) +
                                        ", the LibTorch of this program; trace it again");
  }
}

ir::Graph Reader::read(const JsonReader& file) {
  check_version(file);
  file.object({"format", "version", "libtorch", "symbols", "inputs", "constants", "nodes",
               "outputs", "guards"});
  const std::vector<JsonReader> symbols = file.required("symbols").array();
  for (const JsonReader& symbol : symbols) read_symbol(symbol);
  for (const JsonReader& input : file.required("inputs").array()) {
    const Declaration declared = declaration(input);
    define(input, declared, graph_.add_input(declared.meta));
  }
  for (size_t i = 0; i < symbols.size(); ++i) read_binding(symbols[i], static_cast<int>(i));
  for (const JsonReader& constant : file.required("constants").array()) read_constant(constant);
  for (const JsonReader& node : file.required("nodes").array()) read_node(node);
  for (const JsonReader& output : file.required("outputs").array()) {
    graph_.outputs.push_back(value(output));
  }
  for (const JsonReader& guard : file.required("guards").array()) read_guard(guard);
  ir::check(graph_);
  return std::move(graph_);
}

}  // namespace

ir::Graph load_graph(std::string_view text, const GraphReferences& references,
                     const std::string& file) {
  const Json json = parse_json(text, file);
  return Reader(references).read(JsonReader(json, file));
}

}  // namespace samebits
