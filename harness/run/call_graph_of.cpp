#include "harness/run/call_graph_of.h"

#include <map>
#include <optional>
#include <vector>

#include "harness/dispatch/schema.h"
#include "harness/run/cause.h"

namespace samebits {
namespace {

using Node = CallGraph::Node;

// Calls by operator and by how many of it there were before.
std::map<std::pair<std::string, int>, size_t> numbered_calls(const Computation& computation) {
  std::map<std::string, int> seen;
  std::map<std::pair<std::string, int>, size_t> calls;
  for (size_t i = 0; i < computation.calls.size(); ++i) {
    const std::string name = computation.calls[i].name();
    calls.emplace(std::pair(name, seen[name]++), i);
  }
  return calls;
}

class GraphOfCalls {
 public:
  GraphOfCalls(const Computation& a, const Computation& b)
      : a_(a), b_(b), nodes_of_values_(a.values.size()), counterparts_(a.calls.size()) {
    auto in_b = numbered_calls(b);
    for (const auto& [call, index] : numbered_calls(a)) {
      const auto found = in_b.find(call);
      if (found == in_b.end()) continue;
      counterparts_[index] = found->second;
      in_b.erase(found);
    }
    std::vector<bool> is_alone(b.calls.size());
    for (const auto& [call, index] : in_b) is_alone[index] = true;
    for (size_t i = 0; i < b.calls.size(); ++i) {
      if (is_alone[i] && !is_view(b.calls[i].op.schema())) {
        graph_.only_in_b.push_back(b.calls[i].name());
      }
    }
  }

  CallGraph run() {
    for (size_t call = 0; call < a_.calls.size(); ++call) add(call);
    return std::move(graph_);
  }

 private:
  void add(size_t index) {
    const Computation::Call& call = a_.calls[index];
    std::vector<size_t> inputs;
    for (size_t i = 0; i < call.inputs.size(); ++i) inputs.push_back(node_of_input(index, i));
    if (is_view(call.op.schema()) && !inputs.empty()) {
      for_each_output(index, [&](size_t value) { nodes_of_values_[value] = inputs.front(); });
      return;
    }
    Node node{call.name(), "",
              counterparts_[index] ? CallGraph::State::kEqual : CallGraph::State::kOnlyHere,
              inputs};
    for_each_output(index, [&](size_t value) {
      nodes_of_values_[value] = graph_.nodes.size();
      const Computation::Value& seen = a_.values[value];
      if (node.site.empty()) node.site = seen.site;
      if (!counterparts_[index]) return;
      const at::Tensor* other = output_in_b(*counterparts_[index], seen.output);
      if (other == nullptr || !is_same_value(seen.tensor, *other))
        node.state = CallGraph::State::kDifferent;
    });
    graph_.nodes.push_back(std::move(node));
  }

  // The node of a call's input: of what made it, or its own.
  size_t node_of_input(size_t call, size_t input) {
    const size_t value = a_.calls[call].inputs[input].value;
    std::optional<size_t>& node = nodes_of_values_[value];
    if (!node) {
      node = graph_.nodes.size();
      graph_.nodes.push_back({"", a_.values[value].site, state_of_input(call, input), {}});
      if (graph_.nodes.back().site.empty()) {
        graph_.nodes.back().site = a_.calls[call].inputs[input].name;
      }
    }
    return *node;
  }

  CallGraph::State state_of_input(size_t call, size_t input) const {
    if (!counterparts_[call]) return CallGraph::State::kOnlyHere;
    const Computation::Call& other = b_.calls[*counterparts_[call]];
    if (input >= other.inputs.size()) return CallGraph::State::kOnlyHere;
    const at::Tensor& here = a_.values[a_.calls[call].inputs[input].value].tensor;
    const at::Tensor& there = b_.values[other.inputs[input].value].tensor;
    return is_same_value(here, there) ? CallGraph::State::kEqual : CallGraph::State::kDifferent;
  }

  template <typename F>
  void for_each_output(size_t call, F&& f) const {
    for (size_t value = 0; value < a_.values.size(); ++value) {
      if (a_.values[value].call == call) f(value);
    }
  }

  const at::Tensor* output_in_b(size_t call, size_t output) const {
    for (const Computation::Value& value : b_.values) {
      if (value.call == call && value.output == output) return &value.tensor;
    }
    return nullptr;
  }

  const Computation& a_;
  const Computation& b_;
  std::vector<std::optional<size_t>> nodes_of_values_;
  std::vector<std::optional<size_t>> counterparts_;  // calls of `b`, by those of `a`
  CallGraph graph_;
};

}  // namespace

CallGraph call_graph_of(const Computation& a, const Computation& b, const std::string& arm_a,
                        const std::string& arm_b, const std::string& place) {
  CallGraph graph = GraphOfCalls(a, b).run();
  graph.a = arm_a;
  graph.b = arm_b;
  graph.place = place;
  return graph;
}

}  // namespace samebits
