#include "harness/capture/graph_text.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <map>
#include <stdexcept>

#include "harness/capture/parse_expr.h"

namespace samebits {
namespace {

using Arg = GraphText::Arg;

class Parser {
 public:
  explicit Parser(GraphText text) : text_(std::move(text)) {}
  GraphText parse();

 private:
  void symbol(const JsonReader& reader);
  std::optional<GraphText::Binding> binding(const JsonReader& reader, size_t id) const;
  sym::Expr expr(const JsonReader& reader) const;
  sym::Expr expr(const JsonReader& reader, std::string_view text) const;
  sym::Condition condition(const JsonReader& reader) const;
  GraphText::Guard guard(const JsonReader& reader) const;

  int declare(const JsonReader& reader, std::vector<std::string> more_keys = {});
  int value(const JsonReader& reader) const;
  Arg arg(const JsonReader& reader) const;
  Arg tagged_arg(const JsonReader& reader) const;
  GraphText::Result result(const JsonReader& reader);
  GraphText::Node node(const JsonReader& reader);

  GraphText text_;
  std::vector<sym::Expr> symbols_;
  std::map<std::string, int> ids_;  // of the values defined so far
};

// ---- Symbols and expressions -------------------------------------------------------------------
void Parser::symbol(const JsonReader& reader) {
  reader.object({"name", "hint", "at_least", "input", "dim"});
  const JsonReader name_reader = reader.required("name");
  const std::string name = name_reader.string();
  if (!sym::is_symbol_name(name)) name_reader.fail(quoted(name), "letters, digits and _");
  for (const GraphText::Symbol& other : text_.symbols) {
    if (other.name == name) name_reader.fail(quoted(name) + " a second time", "every name once");
  }
  const int64_t at_least = reader.required("at_least").integer();
  const int64_t hint = reader.required("hint").integer(at_least);
  symbols_.push_back(sym::Expr::symbol(static_cast<int>(symbols_.size()), name, at_least));
  text_.symbols.push_back({name, hint, at_least, std::nullopt});
}

std::optional<GraphText::Binding> Parser::binding(const JsonReader& reader, size_t id) const {
  if (!reader.optional("input") && !reader.optional("dim")) return std::nullopt;
  const int64_t input = reader.required("input").integer(0, text_.inputs - 1);
  const auto& sizes = text_.values[input].sizes;
  const JsonReader dim_reader = reader.required("dim");
  const int64_t dim = dim_reader.integer(0, static_cast<int64_t>(sizes.size()) - 1);
  if (!(sizes[dim] == symbols_[id])) {
    dim_reader.fail("a dimension of size " + quoted(sizes[dim].str()),
                    "one of size " + quoted(text_.symbols[id].name));
  }
  return GraphText::Binding{static_cast<int>(input), static_cast<int>(dim)};
}

sym::Expr Parser::expr(const JsonReader& reader, std::string_view text) const {
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

sym::Expr Parser::expr(const JsonReader& reader) const {
  if (reader.value().is_string()) return expr(reader, reader.string());
  return reader.integer();
}

sym::Condition Parser::condition(const JsonReader& reader) const {
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

GraphText::Guard Parser::guard(const JsonReader& reader) const {
  reader.object({"holds", "file", "line", "during"});
  return {condition(reader.required("holds")), reader.required("file").string(),
          reader.required("line").integer(0), reader.required("during").string()};
}

// ---- Values ------------------------------------------------------------------------------------
bool is_value_name(const std::string& name) {
  return name.size() > 1 && name[0] == '%' && std::all_of(name.begin() + 1, name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_';
         });
}

// The number of the value that is defined here.
int Parser::declare(const JsonReader& reader, std::vector<std::string> more_keys) {
  std::vector<std::string> keys{"name", "dtype", "sizes", "placements", "site"};
  keys.insert(keys.end(), more_keys.begin(), more_keys.end());
  reader.object(keys);
  GraphText::Value declared{reader.required("name").string(), {}, "", "", reader};
  const std::string& name = declared.name;
  for (const JsonReader& size : reader.required("sizes").array()) {
    declared.sizes.push_back(expr(size));
  }
  if (const auto text = reader.optional("placements")) declared.placements = text->string();
  if (const auto text = reader.optional("site")) declared.site = text->string();
  if (!is_value_name(name)) {
    reader.fail("the name " + quoted(name), "\"%\" and letters, digits or _");
  }
  const int id = static_cast<int>(text_.values.size());
  if (!ids_.emplace(name, id).second) {
    reader.fail(quoted(name) + " a second time", "every value to be defined once");
  }
  text_.values.push_back(std::move(declared));
  return id;
}

int Parser::value(const JsonReader& reader) const {
  const auto found = ids_.find(reader.string());
  if (found == ids_.end()) {
    reader.fail(quoted(reader.string()), "a value that is defined before it is used");
  }
  return found->second;
}

// ---- Nodes -------------------------------------------------------------------------------------
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

Arg Parser::tagged_arg(const JsonReader& reader) const {
  reader.object({"str", "dtype", "device", "double_bits", "size", "sizes", "tensors",
                 "optional_tensors", "ints", "doubles", "bools", "strs", "object"});
  const std::vector<std::string> keys = reader.keys();
  if (keys.size() != 1) reader.fail(reader.shown(), "an object of one key");
  const std::string& kind = keys[0];
  const JsonReader inner = reader.required(kind);
  const auto list_of = [&](auto element) {
    std::vector<std::decay_t<decltype(element(inner))>> list;
    for (const JsonReader& item : inner.array()) list.push_back(element(item));
    return Arg{std::move(list), reader};
  };
  if (kind == "str") return {inner.string(), reader};
  if (kind == "double_bits") return {finite_or_bits(reader), reader};
  if (kind == "size") return {expr(inner), reader};
  if (kind == "sizes") return list_of([&](const JsonReader& item) { return expr(item); });
  if (kind == "ints") return list_of([](const JsonReader& item) { return item.integer(); });
  if (kind == "doubles") return list_of(finite_or_bits);
  if (kind == "bools") return list_of([](const JsonReader& item) { return item.boolean(); });
  if (kind == "strs") return list_of([](const JsonReader& item) { return item.string(); });
  if (kind == "dtype" || kind == "device" || kind == "object") {
    inner.string();
    return {GraphText::Name{kind, inner}, reader};
  }
  GraphText::Refs refs{kind == "optional_tensors", {}};
  for (const JsonReader& item : inner.array()) {
    const bool lacks = refs.may_lack && item.value().is_null();
    refs.values.push_back(lacks ? std::nullopt : std::optional<int>(value(item)));
  }
  return {std::move(refs), reader};
}

Arg Parser::arg(const JsonReader& reader) const {
  const Json& json = reader.value();
  if (json.is_string()) return {GraphText::Ref{value(reader)}, reader};
  if (json.is_boolean()) return {reader.boolean(), reader};
  if (json.is_number_integer()) return {reader.integer(), reader};
  if (json.is_number()) return {reader.number(), reader};
  if (json.is_null()) return {std::monostate(), reader};
  return tagged_arg(reader);
}

GraphText::Result Parser::result(const JsonReader& reader) {
  const bool is_written = reader.value().is_string();
  return {is_written ? value(reader) : declare(reader), is_written, reader};
}

GraphText::Node Parser::node(const JsonReader& reader) {
  reader.object({"op", "args", "results"});
  reader.required("op").string();
  GraphText::Node node{reader, {}, {}};
  const JsonReader args = reader.required("args");
  for (const std::string& name : args.keys()) {
    node.args.emplace_back(name, arg(args.required(name)));
  }
  for (const JsonReader& each : reader.required("results").array()) {
    node.results.push_back(result(each));
  }
  return node;
}

// ---- The file ----------------------------------------------------------------------------------
GraphText Parser::parse() {
  const JsonReader& file = text_.file;
  const JsonReader format = file.required("format");
  if (format.string() != kGraphFormat) format.fail(format.shown(), quoted(kGraphFormat));
  const JsonReader version = file.required("version");
  if (version.integer() != kGraphVersion) {
    version.fail(version.shown(), std::to_string(kGraphVersion));
  }
  file.object({"format", "version", "libtorch", "model", "symbols", "inputs", "constants", "nodes",
               "outputs", "guards"});
  const std::vector<JsonReader> symbols = file.required("symbols").array();
  for (const JsonReader& each : symbols) symbol(each);
  for (const JsonReader& input : file.required("inputs").array()) {
    declare(input);
    ++text_.inputs;
  }
  for (size_t i = 0; i < symbols.size(); ++i) text_.symbols[i].binding = binding(symbols[i], i);
  for (const JsonReader& constant : file.required("constants").array()) {
    declare(constant, {"tensor"});
    ++text_.constants;
  }
  for (const JsonReader& each : file.required("nodes").array()) text_.nodes.push_back(node(each));
  for (const JsonReader& output : file.required("outputs").array()) {
    text_.outputs.push_back(value(output));
  }
  for (const JsonReader& each : file.required("guards").array()) {
    text_.guards.push_back(guard(each));
  }
  return std::move(text_);
}

}  // namespace

GraphText parse_graph_text(std::string_view text, const std::string& file) {
  return Parser({std::make_shared<const Json>(parse_json(text, file)), file}).parse();
}

}  // namespace samebits
