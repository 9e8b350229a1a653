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

// Two operators, the second of which takes a result of the first, and the one that does both.
struct Pattern {
  struct Part {
    const char* op;
    size_t link;               // of the first: which result; of the second: the argument that it is
    size_t rows;               // so many leading arguments are laid out as the results are
    std::vector<size_t> args;  // what the fused operator takes of this one
  };
  Part first;
  Part second;
  const char* fused;
};

const std::vector<Pattern>& patterns() {
  static const std::vector<Pattern> all{
      {{"samebits::residual_add", /*sum*/ 0, /*x, y*/ 2, /*x, y*/ {0, 1}},
       {"samebits::rms_norm", /*x*/ 0, /*x*/ 1, /*weight, eps*/ {1, 2}},
       "samebits::residual_rms_norm"},
      {{"samebits::rms_norm", /*normed*/ 0, /*x*/ 1, /*x, weight, eps*/ {0, 1, 2}},
       {"samebits::rope", /*x*/ 0, /*x*/ 1, /*cos, sin, positions*/ {1, 2, 3}},
       "samebits::rms_norm_rope"},
      {{"samebits::rms_norm_rope", /*rotated*/ 1, /*x*/ 1, /*all*/ {0, 1, 2, 3, 4, 5}},
       {"samebits::write_kv", /*k*/ 2, /*both caches, k, v*/ 4, /*caches, v, slots*/ {0, 1, 3, 4}},
       "samebits::rms_norm_rope_write_kv_"}};
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
  bool may_write_earlier(const Match& match) const;
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
  const auto placements = [&](ValueId id) { return graph_.values[id].meta.placements; };
  const std::string expected = placements(graph_.nodes[match.first].outputs[0]);
  const auto as_expected = [&](const Node& node, const Pattern::Part& part) {
    return std::all_of(node.outputs.begin(), node.outputs.end(),
                       [&](ValueId id) { return placements(id) == expected; }) &&
           std::all_of(node.args.begin(), node.args.begin() + part.rows,
                       [&](const Arg& arg) { return placements(value_of(arg)) == expected; });
  };
  return as_expected(graph_.nodes[match.first], match.pattern->first) &&
         as_expected(graph_.nodes[match.second], match.pattern->second);
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

// Whether what the second node writes is not touched between the first and it.
bool Fuser::may_write_earlier(const Match& match) const {
  bool untouched = true;
  for (const ValueId written : written_values(graph_.nodes[match.second])) {
    for (size_t i = match.first + 1; i < match.second; ++i) {
      for (const Arg& arg : graph_.nodes[i].args) {
        ir::for_each_value(
            arg, [&](ValueId id) { untouched = untouched && !memory_.may_alias(id, written); });
      }
    }
  }
  return untouched;
}

bool Fuser::fits(const Match& match) const {
  const Node& first = graph_.nodes[match.first];
  const Node& second = graph_.nodes[match.second];
  const auto& [of_first, of_second, fused] = *match.pattern;
  if (ir::op_name(first.op) != of_first.op || taken_[match.first]) return false;
  if (first.outputs[of_first.link] != value_of(second.args[of_second.link])) return false;
  if (has_a_flag_set(first) || has_a_flag_set(second) || !placed_alike(match)) return false;
  if (std::any_of(first.outputs.begin(), first.outputs.end(),
                  [&](ValueId id) { return memory_.may_be_written(id); })) {
    return false;
  }
  if (!may_write_earlier(match)) return false;
  bool there = true;
  for (const size_t i : of_second.args) {
    ir::for_each_value(second.args[i],
                       [&](ValueId id) { there = there && is_there_throughout(id, match); });
  }
  return there;
}

void Fuser::find() {
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    const std::string name = ir::op_name(graph_.nodes[i].op);
    for (const Pattern& pattern : patterns()) {
      if (name != pattern.second.op) continue;
      const int first = defined_at_[value_of(graph_.nodes[i].args[pattern.second.link])];
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
  const auto take = [&](const Node& node, const Pattern::Part& part) {
    for (const size_t i : part.args) fused.args.push_back(rewriter_.arg(node.args[i]));
    for (const ValueId id : node.outputs) fused.outputs.push_back(rewriter_.define(id));
  };
  take(first, match.pattern->first);
  take(second, match.pattern->second);
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

// Until nothing fits: what was fused may be the first of a pair again.
PassResult fuse(const ir::Graph& graph) {
  PassResult result = Fuser(graph).run();
  for (size_t known = 0; known < result.log.size();) {
    known = result.log.size();
    PassResult next = Fuser(result.graph).run();
    result.graph = std::move(next.graph);
    result.log.insert(result.log.end(), next.log.begin(), next.log.end());
  }
  return result;
}

}  // namespace samebits::passes
