#include "harness/capture/passes/fuse.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "harness/capture/passes/effects.h"
#include "harness/capture/passes/rewriter.h"
#include "harness/capture/print.h"

namespace samebits::passes {
namespace {

using ir::Arg;
using ir::Node;
using ir::ValueId;

// Two operators, the second of which takes the first one's result as its first argument, and the
// one that gives both results.
struct Pattern {
  const char* first;
  const char* second;
  const char* fused;
  size_t rows;  // so many leading arguments of the first are laid out as the results are
  // The fused operator's arguments: these of the first, then these of the second.
  std::vector<size_t> of_first;
  std::vector<size_t> of_second;
};

const std::vector<Pattern>& patterns() {
  static const std::vector<Pattern> all{
      {"samebits::residual_add", "samebits::rms_norm", "samebits::residual_rms_norm",
       /*rows: x, y*/ 2, /*x, y*/ {0, 1}, /*weight, eps*/ {1, 2}},
      {"samebits::rms_norm", "samebits::rope", "samebits::rms_norm_rope",
       /*rows: x*/ 1, /*x, weight, eps*/ {0, 1, 2}, /*cos, sin, positions*/ {1, 2, 3}}};
  return all;
}

// Two nodes of the graph that fit a pattern.
struct Match {
  const Pattern* pattern;
  size_t first;
  size_t second;
};

ValueId value_of(const Arg& arg) { return std::get<Arg::Ref>(arg.data).value; }

// `fused_rounding` and `inverse`: what the fused operators never do.
bool has_a_flag_set(const Node& node) {
  return std::any_of(node.args.begin(), node.args.end(), [](const Arg& arg) {
    const auto* value = std::get_if<c10::IValue>(&arg.data);
    return value && value->isBool() && value->toBool();
  });
}

class Fuser {
 public:
  explicit Fuser(const ir::Graph& graph);
  PassResult run();

 private:
  void find();
  bool fits(const Match& match) const;
  bool placed_alike(const Match& match) const;
  bool is_there_throughout(ValueId value, const Match& match) const;
  void emit(const Match& match);

  const ir::Graph& graph_;
  Memory memory_;
  GraphRewriter rewriter_;
  std::vector<int> defined_at_;  // by value: the node that defines it, -1 for what is there before
  std::map<size_t, Match> matches_;  // by the first node
  std::vector<bool> taken_;          // by node: part of a match
  std::vector<std::string> log_;
};

Fuser::Fuser(const ir::Graph& graph)
    : graph_(graph),
      memory_(graph),
      rewriter_(graph),
      defined_at_(graph.values.size(), -1),
      taken_(graph.nodes.size(), false) {
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const ValueId id : graph.nodes[i].outputs) {
      const bool is_result = graph.values[id].kind == ir::ValueKind::result;
      if (is_result && defined_at_[id] < 0) defined_at_[id] = static_cast<int>(i);
    }
  }
}

// One Shard of rows, or Replicate, or plain tensors throughout.
bool Fuser::placed_alike(const Match& match) const {
  const Node& first = graph_.nodes[match.first];
  const auto placements = [&](ValueId id) { return graph_.values[id].meta.placements; };
  const std::string result = placements(graph_.nodes[match.second].outputs[0]);
  bool alike = placements(first.outputs[0]) == result;
  for (size_t i = 0; i < match.pattern->rows; ++i) {
    alike = alike && placements(value_of(first.args[i])) == result;
  }
  return alike;
}

// Whether a value is defined before the first node and not written before the second.
bool Fuser::is_there_throughout(ValueId value, const Match& match) const {
  if (defined_at_[value] >= static_cast<int>(match.first)) return false;
  for (size_t i = match.first + 1; i < match.second; ++i) {
    for (const ValueId written : written_values(graph_.nodes[i])) {
      if (memory_.may_alias(written, value)) return false;
    }
  }
  return true;
}

bool Fuser::fits(const Match& match) const {
  const Node& first = graph_.nodes[match.first];
  const Node& second = graph_.nodes[match.second];
  if (ir::op_name(first.op) != match.pattern->first || taken_[match.first]) return false;
  if (has_a_flag_set(first) || has_a_flag_set(second) || !placed_alike(match)) return false;
  if (memory_.may_be_written(first.outputs[0])) return false;
  bool there = true;
  for (const size_t i : match.pattern->of_second) {
    ir::for_each_value(second.args[i],
                       [&](ValueId id) { there = there && is_there_throughout(id, match); });
  }
  return there;
}

void Fuser::find() {
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    const std::string name = ir::op_name(graph_.nodes[i].op);
    for (const Pattern& pattern : patterns()) {
      if (name != pattern.second) continue;
      const int first = defined_at_[value_of(graph_.nodes[i].args[0])];
      if (first < 0) continue;
      const Match match{&pattern, static_cast<size_t>(first), i};
      if (!fits(match)) continue;
      matches_[match.first] = match;
      taken_[match.first] = taken_[match.second] = true;
      break;
    }
  }
}

void Fuser::emit(const Match& match) {
  const Node& first = graph_.nodes[match.first];
  const Node& second = graph_.nodes[match.second];
  Node fused{c10::Dispatcher::singleton().findSchemaOrThrow(match.pattern->fused, ""),
             {},
             {},
             /*returns_list=*/false};
  for (const size_t i : match.pattern->of_first) fused.args.push_back(rewriter_.arg(first.args[i]));
  for (const size_t i : match.pattern->of_second) {
    fused.args.push_back(rewriter_.arg(second.args[i]));
  }
  fused.outputs = {rewriter_.define(first.outputs[0]), rewriter_.define(second.outputs[0])};
  rewriter_.append(std::move(fused));
  log_.push_back(fmt::format("fused {}; {}", to_string(graph_, first), to_string(graph_, second)));
}

PassResult Fuser::run() {
  find();
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    if (const auto match = matches_.find(i); match != matches_.end()) {
      emit(match->second);
    } else if (!taken_[i]) {
      rewriter_.copy(graph_.nodes[i]);
    }
  }
  return {rewriter_.finish(graph_.outputs), std::move(log_)};
}

}  // namespace

PassResult fuse(const ir::Graph& graph) { return Fuser(graph).run(); }

}  // namespace samebits::passes
