#include "harness/compare/call_graph.h"

#include "harness/base/file.h"
#include "harness/base/json.h"
#include "harness/observe/run_files.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;

using Node = CallGraph::Node;

const std::vector<std::pair<std::string, CallGraph::State>>& state_names() {
  static const std::vector<std::pair<std::string, CallGraph::State>> names = {
      {"equal", CallGraph::State::kEqual},
      {"different", CallGraph::State::kDifferent},
      {"only_here", CallGraph::State::kOnlyHere}};
  return names;
}

std::string name_of(CallGraph::State state) {
  for (const auto& [name, value] : state_names()) {
    if (value == state) return name;
  }
  return "";
}

Node node_from_json(const JsonReader& json, size_t index) {
  json.object({"name", "site", "state", "inputs"});
  Node node;
  node.name = json.required("name").string();
  node.site = json.required("site").string();
  node.state = json.required("state").one_of(state_names());
  for (const JsonReader& input : json.required("inputs").array()) {
    const int64_t last = static_cast<int64_t>(index) - 1;
    if (last < 0) input.fail(input.shown(), "no input of the first node");
    node.inputs.push_back(static_cast<size_t>(input.integer(0, last)));
  }
  return node;
}

}  // namespace

void write_call_graph(const fs::path& closer_folder, const CallGraph& graph) {
  Json nodes = Json::array();
  for (const Node& node : graph.nodes) {
    nodes.push_back({{"name", node.name},
                     {"site", node.site},
                     {"state", name_of(node.state)},
                     {"inputs", node.inputs}});
  }
  const Json json = {{"a", graph.a},
                     {"b", graph.b},
                     {"place", graph.place},
                     {"nodes", nodes},
                     {"only_in_b", graph.only_in_b}};
  write_text_file((closer_folder / run_files::kCalls).string(), json.dump(1) + "\n");
}

std::optional<CallGraph> read_call_graph(const fs::path& closer_folder) {
  const fs::path file = closer_folder / run_files::kCalls;
  if (!fs::exists(file)) return std::nullopt;
  const Json parsed = read_json_file(file);
  const JsonReader json(parsed, file.string());
  json.object({"a", "b", "place", "nodes", "only_in_b"});
  CallGraph graph;
  graph.a = json.required("a").string();
  graph.b = json.required("b").string();
  graph.place = json.required("place").string();
  for (const JsonReader& node : json.required("nodes").array(1)) {
    graph.nodes.push_back(node_from_json(node, graph.nodes.size()));
  }
  for (const JsonReader& name : json.required("only_in_b").array()) {
    graph.only_in_b.push_back(name.string());
  }
  return graph;
}

}  // namespace samebits
