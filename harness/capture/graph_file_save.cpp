#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "harness/base/error.h"
#include "harness/base/json.h"
#include "harness/capture/graph_file.h"
#include "harness/capture/graph_format.h"
#include "harness/capture/graph_text.h"
#include "harness/capture/parse_expr.h"

namespace samebits {

std::string graph_format::libtorch_version() {
  return fmt::format("{}.{}.{}", TORCH_VERSION_MAJOR, TORCH_VERSION_MINOR, TORCH_VERSION_PATCH);
}

bool graph_format::is_dtype(const c10::TypePtr& real_type) {
  const auto optional = real_type->cast<c10::OptionalType>();
  const c10::TypePtr type = optional ? optional->getElementType() : real_type;
  return type->kind() == c10::TypeKind::ScalarTypeType;
}

namespace {

using ir::Arg;

class Writer {
 public:
  Writer(const ir::Graph& graph, const GraphNames& names);
  std::string write() const;

 private:
  Json expr(const sym::Expr& e) const;
  Json condition(const sym::Condition& c) const;
  Json declaration(const ir::Value& value) const;
  Json constant(const c10::IValue& value, const c10::Argument& declared) const;
  Json device(const c10::Device& device) const;
  Json list(const c10::IValue& value) const;
  Json list(const Arg::List& list, const c10::Argument& declared) const;
  Json arg(const Arg& arg, const c10::Argument& declared) const;
  Json node(const ir::Node& node) const;
  std::vector<Json> symbols() const;
  std::vector<Json> inputs() const;
  std::vector<Json> constants() const;
  std::vector<Json> guards() const;

  const ir::Graph& graph_;
  const GraphNames& names_;
  std::vector<sym::Expr> symbols_;
};

Writer::Writer(const ir::Graph& graph, const GraphNames& names) : graph_(graph), names_(names) {
  for (const ShapeEnv::Symbol& symbol : graph.symbols) {
    if (!sym::is_symbol_name(symbol.name)) {
      throw InputError("a graph to save", "symbol " + quoted(symbol.name),
                       "letters, digits and _, and neither min nor max");
    }
    const int id = static_cast<int>(symbols_.size());
    symbols_.push_back(sym::Expr::symbol(id, symbol.name, symbol.at_least));
  }
}

Json Writer::expr(const sym::Expr& e) const {
  if (const auto value = e.constant()) return *value;
  std::string text = e.str();
  TORCH_INTERNAL_ASSERT(sym::parse_expr(text, symbols_) == e, text, " is not read back as it was");
  return text;
}

// Every comparison is one with 0.
Json Writer::condition(const sym::Condition& c) const {
  using Kind = sym::Condition::Kind;
  const auto compared = [&](const char* op) {
    return fmt::format("{} {} 0", expr(c.expr()).get<std::string>(), op);
  };
  switch (c.kind()) {
    case Kind::constant:
      break;
    case Kind::eq:
      return compared("==");
    case Kind::ne:
      return compared("!=");
    case Kind::ge:
      return compared(">=");
    case Kind::all:
    case Kind::any: {
      Json parts = Json::array();
      for (const sym::Condition& part : c.parts()) parts.push_back(condition(part));
      return Json{{c.kind() == Kind::all ? "all" : "any", std::move(parts)}};
    }
  }
  TORCH_INTERNAL_ASSERT(false, "a guard that holds or fails for all sizes: ", c.str());
}

Json Writer::declaration(const ir::Value& value) const {
  Json sizes = Json::array();
  for (const sym::Expr& size : value.meta.sizes) sizes.push_back(expr(size));
  Json json{{"name", value.name},
            {"dtype", c10::toString(value.meta.dtype)},
            {"sizes", std::move(sizes)}};
  if (!value.meta.placements.empty()) json["placements"] = value.meta.placements;
  if (!value.site.empty()) json["site"] = value.site;
  return json;
}

Json number(double value) {
  if (std::isfinite(value)) return value;
  return Json{{"double_bits", fmt::format("{:016x}", std::bit_cast<uint64_t>(value))}};
}

Json Writer::list(const c10::IValue& value) const {
  Json items = Json::array();
  const char* kind = value.isIntList()      ? "ints"
                     : value.isDoubleList() ? "doubles"
                     : value.isBoolList()   ? "bools"
                                            : "strs";
  const c10::TypePtr element = value.toList().elementType();
  const bool known = *kind != 's' || element->kind() == c10::TypeKind::StringType;
  TORCH_CHECK_NOT_IMPLEMENTED(known, "a graph file has no place for a list of ", element->str());
  for (const c10::IValue& item : value.toListRef()) {
    if (item.isInt()) {
      items.push_back(item.toInt());
    } else if (item.isDouble()) {
      items.push_back(number(item.toDouble()));
    } else if (item.isBool()) {
      items.push_back(item.toBool());
    } else {
      items.push_back(item.toStringRef());
    }
  }
  return Json{{kind, std::move(items)}};
}

// A card may be named with its index and without.
Json Writer::device(const c10::Device& device) const {
  const c10::Device& run = names_.device;
  const bool is_indexed = device.has_index() && run.has_index();
  const bool is_run = device.type() == run.type() && (!is_indexed || device.index() == run.index());
  return Json{{"device", is_run ? graph_format::kDeviceOfRun : device.str()}};
}

Json Writer::constant(const c10::IValue& value, const c10::Argument& declared) const {
  if (value.isNone()) return nullptr;
  if (value.isBool()) return value.toBool();
  if (value.isDouble()) return number(value.toDouble());
  if (value.isString()) return Json{{"str", value.toStringRef()}};
  if (value.isDevice()) return device(value.toDevice());
  if (value.isInt()) {
    if (!graph_format::is_dtype(declared.real_type())) return value.toInt();
    return Json{{"dtype", c10::toString(static_cast<c10::ScalarType>(value.toInt()))}};
  }
  if (value.isList()) return list(value);
  TORCH_CHECK_NOT_IMPLEMENTED(value.isObject(), "a graph file has no place for an argument of kind ",
                              value.tagKind());
  return Json{{"object", names_.object(value)}};
}

Json Writer::list(const Arg::List& list, const c10::Argument& declared) const {
  Json items = Json::array();
  for (const Arg& item : list.items) {
    const auto* e = std::get_if<sym::Expr>(&item.data);
    items.push_back(e ? expr(*e) : arg(item, declared));
  }
  const char* kind = list.element_type->kind() == c10::TypeKind::IntType        ? "sizes"
                     : list.element_type->kind() == c10::TypeKind::OptionalType ? "optional_tensors"
                                                                                : "tensors";
  return Json{{kind, std::move(items)}};
}

Json Writer::arg(const Arg& arg, const c10::Argument& declared) const {
  if (const auto* ref = std::get_if<Arg::Ref>(&arg.data)) return graph_.values[ref->value].name;
  if (const auto* e = std::get_if<sym::Expr>(&arg.data)) return Json{{"size", expr(*e)}};
  if (const auto* items = std::get_if<Arg::List>(&arg.data)) return list(*items, declared);
  return constant(std::get<c10::IValue>(arg.data), declared);
}

Json Writer::node(const ir::Node& node) const {
  Json args = Json::object();
  std::vector<ir::ValueId> arguments;
  for (size_t i = 0; i < node.args.size(); ++i) {
    const c10::Argument& declared = node.op.schema().arguments()[i];
    args[declared.name()] = arg(node.args[i], declared);
    ir::for_each_value(node.args[i], [&](ir::ValueId id) { arguments.push_back(id); });
  }
  Json results = Json::array();
  for (const ir::ValueId id : node.outputs) {
    const bool in_place = std::count(arguments.begin(), arguments.end(), id) != 0;
    const ir::Value& value = graph_.values[id];
    results.push_back(in_place ? Json(value.name) : declaration(value));
  }
  return Json{{"op", ir::op_name(node.op)}, {"args", args}, {"results", results}};
}

std::vector<Json> Writer::symbols() const {
  std::vector<Json> lines;
  for (const ShapeEnv::Symbol& symbol : graph_.symbols) {
    lines.push_back(
        Json{{"name", symbol.name}, {"hint", symbol.hint}, {"at_least", symbol.at_least}});
  }
  for (const ir::SymbolBinding& binding : graph_.bindings) {
    lines[binding.symbol]["input"] = binding.input;
    lines[binding.symbol]["dim"] = binding.dim;
  }
  return lines;
}

std::vector<Json> Writer::inputs() const {
  std::vector<Json> lines;
  for (const ir::ValueId id : graph_.inputs) lines.push_back(declaration(graph_.values[id]));
  return lines;
}

std::vector<Json> Writer::constants() const {
  std::vector<Json> lines;
  for (const ir::Value& value : graph_.values) {
    if (value.kind != ir::ValueKind::constant) continue;
    lines.push_back(declaration(value));
    lines.back()["tensor"] = names_.constant(value.constant);
  }
  return lines;
}

std::vector<Json> Writer::guards() const {
  std::vector<Json> lines;
  for (const Guard& guard : graph_.guards) {
    lines.push_back(Json{{"holds", condition(guard.condition)},
                         {"file", guard.file},
                         {"line", guard.line},
                         {"during", guard.during}});
  }
  return lines;
}

std::string line(const Json& json) {
  try {
    return json.dump();
  } catch (const Json::type_error&) {
    throw InputError("a graph to save", "a text that is not UTF-8", "UTF-8");
  }
}

std::string section(const char* key, const std::vector<Json>& items) {
  std::string text;
  for (const Json& item : items) text += (text.empty() ? "\n    " : ",\n    ") + line(item);
  return fmt::format("  \"{}\": [{}{}]", key, text, items.empty() ? "" : "\n  ");
}

std::string Writer::write() const {
  std::vector<Json> nodes;
  for (const ir::Node& each : graph_.nodes) nodes.push_back(node(each));
  Json outputs = Json::array();
  for (const ir::ValueId id : graph_.outputs) outputs.push_back(graph_.values[id].name);
  std::string text = "{\n";
  text += fmt::format("  \"format\": \"{}\",\n", kGraphFormat);
  text += fmt::format("  \"version\": {},\n", kGraphVersion);
  text += fmt::format("  \"libtorch\": \"{}\",\n", graph_format::libtorch_version());
  if (!names_.model.empty()) text += fmt::format("  \"model\": {},\n", line(names_.model));
  text += section("symbols", symbols()) + ",\n";
  text += section("inputs", inputs()) + ",\n";
  text += section("constants", constants()) + ",\n";
  text += section("nodes", nodes) + ",\n";
  text += fmt::format("  \"outputs\": {},\n", line(outputs));
  text += section("guards", guards()) + "\n}\n";
  return text;
}

}  // namespace

std::string save_graph(const ir::Graph& graph, const GraphNames& names) {
  return Writer(graph, names).write();
}

}  // namespace samebits
