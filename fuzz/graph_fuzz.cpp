// Any text is a graph without its operators, or an InputError of one line; in a graph every value
// is there before it is used, and a size prints as a text that reads back as the same size.

#include "fuzz/property.h"
#include "harness/capture/graph_text.h"
#include "harness/capture/parse_expr.h"

namespace {

using samebits::GraphText;
using samebits::fuzz::require;

void check_refs(const GraphText::Arg& arg, int defined) {
  if (const auto* ref = std::get_if<GraphText::Ref>(&arg.data)) {
    require(0 <= ref->value && ref->value < defined);
  } else if (const auto* refs = std::get_if<GraphText::Refs>(&arg.data)) {
    for (const std::optional<int> value : refs->values) {
      require(!value || (0 <= *value && *value < defined));
    }
  }
}

void check_sizes(const GraphText& graph) {
  std::vector<samebits::sym::Expr> symbols;
  for (const GraphText::Symbol& symbol : graph.symbols) {
    const int id = static_cast<int>(symbols.size());
    symbols.push_back(samebits::sym::Expr::symbol(id, symbol.name, symbol.at_least));
  }
  for (const GraphText::Value& value : graph.values) {
    for (const samebits::sym::Expr& size : value.sizes) {
      require(samebits::sym::parse_expr(size.str(), symbols) == size);
    }
  }
}

void check(const GraphText& graph) {
  int defined = graph.inputs + graph.constants;
  for (const GraphText::Node& node : graph.nodes) {
    for (const auto& [name, arg] : node.args) check_refs(arg, defined);
    for (const GraphText::Result& result : node.results) {
      require(result.is_written ? result.value < defined : result.value == defined);
      defined += result.is_written ? 0 : 1;
    }
  }
  require(defined == static_cast<int>(graph.values.size()));
  for (const int output : graph.outputs) require(0 <= output && output < defined);
  check_sizes(graph);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return samebits::fuzz::reads_or_refuses(data, size, [](const std::string& text) {
    check(samebits::parse_graph_text(text, "fuzz.json"));
  });
}
