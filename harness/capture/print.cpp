#include "harness/capture/print.h"

#include <ATen/core/jit_type.h>
#include <c10/core/ScalarType.h>
#include <fmt/format.h>

#include <charconv>

namespace samebits {
namespace {

using ir::Arg;

std::string dtype_text(c10::ScalarType dtype) {
  switch (dtype) {
    case c10::ScalarType::BFloat16:
      return "bf16";
    case c10::ScalarType::Half:
      return "f16";
    case c10::ScalarType::Float:
      return "f32";
    case c10::ScalarType::Double:
      return "f64";
    case c10::ScalarType::Byte:
      return "u8";
    case c10::ScalarType::Char:
      return "i8";
    case c10::ScalarType::Short:
      return "i16";
    case c10::ScalarType::Int:
      return "i32";
    case c10::ScalarType::Long:
      return "i64";
    case c10::ScalarType::Bool:
      return "bool";
    default:
      return c10::toString(dtype);
  }
}

template <typename Range, typename F>
std::string joined(const Range& items, F&& text_of) {
  std::string text;
  for (const auto& item : items) {
    text += text.empty() ? "" : ", ";
    text += text_of(item);
  }
  return text;
}

std::string meta_text(const ir::ValueMeta& meta) {
  const std::string sizes = joined(meta.sizes, [](const sym::Expr& size) { return size.str(); });
  return fmt::format("{}[{}]{}{}", dtype_text(meta.dtype), sizes,
                     meta.placements.empty() ? "" : " ", meta.placements);
}

// The shortest digits that read back as the same number.
std::string double_text(double value) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value);
  std::string text(buffer, end.ptr);
  if (text.find_first_not_of("-0123456789") == std::string::npos) text += ".0";
  return text;
}

}  // namespace

std::string constant_text(const c10::IValue& value, const c10::TypePtr& type) {
  if (value.isNone()) return "none";
  if (value.isBool()) return value.toBool() ? "true" : "false";
  if (value.isDouble()) return double_text(value.toDouble());
  if (value.isString()) return fmt::format("\"{}\"", value.toStringRef());
  if (value.isDevice()) return value.toDevice().str();
  if (value.isInt()) {
    c10::TypePtr element = type;
    if (const auto optional = type->cast<c10::OptionalType>()) element = optional->getElementType();
    const bool is_dtype = element->kind() == c10::TypeKind::ScalarTypeType;
    return is_dtype ? dtype_text(static_cast<c10::ScalarType>(value.toInt()))
                    : std::to_string(value.toInt());
  }
  if (value.isList()) {
    const auto item_text = [](const c10::IValue& item) { return constant_text(item, item.type()); };
    return fmt::format("[{}]", joined(value.toListRef(), item_text));
  }
  if (value.isObject()) {  // a mesh: "__torch__.torch.classes.samebits.DeviceMesh"
    const std::string name = value.toObjectRef().name();
    return name.substr(name.rfind('.') + 1);
  }
  return value.tagKind();
}

namespace {

std::string arg_text(const ir::Graph& graph, const Arg& arg, const c10::TypePtr& type) {
  if (const auto* ref = std::get_if<Arg::Ref>(&arg.data)) return graph.values[ref->value].name;
  if (const auto* e = std::get_if<sym::Expr>(&arg.data)) return e->str();
  if (const auto* list = std::get_if<Arg::List>(&arg.data)) {
    const auto item_text = [&](const Arg& item) {
      return arg_text(graph, item, list->element_type);
    };
    return fmt::format("[{}]", joined(list->items, item_text));
  }
  return constant_text(std::get<c10::IValue>(arg.data), type);
}

bool holds_values(const Arg& arg) {
  bool any = false;
  ir::for_each_value(arg, [&](ir::ValueId) { any = true; });
  return any;
}

bool is_default(const Arg& arg, const c10::Argument& declared) {
  const auto* value = std::get_if<c10::IValue>(&arg.data);
  if (!value || !declared.default_value()) return false;
  const c10::IValue& fallback = *declared.default_value();
  if (value->isNone() || fallback.isNone()) return value->isNone() && fallback.isNone();
  return value->tagKind() == fallback.tagKind() && *value == fallback;
}

// Tensors by position, the rest by name; what equals its default is left out.
std::string call_text(const ir::Graph& graph, const ir::Node& node) {
  std::string text;
  for (size_t i = 0; i < node.args.size(); ++i) {
    const c10::Argument& declared = node.op.schema().arguments()[i];
    if (is_default(node.args[i], declared)) continue;
    text += text.empty() ? "" : ", ";
    if (!holds_values(node.args[i])) text += declared.name() + "=";
    text += arg_text(graph, node.args[i], declared.real_type());
  }
  return fmt::format("{}({})", ir::op_name(node.op), text);
}

bool is_argument(const ir::Node& node, ir::ValueId id) {
  bool found = false;
  for (const Arg& arg : node.args)
    ir::for_each_value(arg, [&](ir::ValueId v) { found |= v == id; });
  return found;
}

std::string declaration(const ir::Value& value) {
  return fmt::format("{}: {}", value.name, meta_text(value.meta));
}

}  // namespace

std::string to_string(const ir::Graph& graph, const ir::Node& node) {
  std::string line;
  std::string site;
  for (const ir::ValueId id : node.outputs) {
    const ir::Value& value = graph.values[id];
    // What is written in place has its declaration already.
    line += line.empty() ? "" : ", ";
    line += is_argument(node, id) ? value.name : declaration(value);
    if (site.empty()) site = value.site;
  }
  if (node.returns_list) line = fmt::format("[{}]", line);
  if (!line.empty() || node.returns_list) line += " = ";
  line += call_text(graph, node);
  return site.empty() ? line : fmt::format("{}   # {}", line, site);
}

std::string to_string(const ir::Graph& graph) {
  std::string text;
  const auto section = [&](const char* title, ir::ValueKind kind) {
    bool first = true;
    for (const ir::Value& value : graph.values) {
      if (value.kind != kind) continue;
      if (first) text += fmt::format("{}:\n", title);
      first = false;
      text += fmt::format("  {}\n", declaration(value));
    }
  };
  section("inputs", ir::ValueKind::input);
  section("constants", ir::ValueKind::constant);
  text += "nodes:\n";
  for (const ir::Node& node : graph.nodes) {
    text += fmt::format("  {}\n", to_string(graph, node));
  }
  text += "return " + joined(graph.outputs, [&](ir::ValueId id) { return graph.values[id].name; }) +
          "\n";
  if (!graph.guards.empty()) text += "guards:\n";
  for (const Guard& guard : graph.guards) {
    text += fmt::format("  {}\n", guard.str());
  }
  return text;
}

}  // namespace samebits
