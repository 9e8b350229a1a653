#include "harness/capture/passes/fuse.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <map>
#include <optional>

#include "harness/capture/passes/effects.h"
#include "harness/capture/passes/fuse_patterns.h"
#include "harness/capture/passes/rewriter.h"
#include "harness/capture/print.h"

namespace samebits::passes {
namespace {

using ir::Arg;
using ir::Node;
using ir::ValueId;
using Part = FusePattern::Part;

// Tensors by value, numbers by their bits; nothing else is equal.
bool same(const Arg& a, const Arg& b) {
  const auto* left = std::get_if<Arg::Ref>(&a.data);
  const auto* right = std::get_if<Arg::Ref>(&b.data);
  if (left && right) return left->value == right->value;
  const auto* x = std::get_if<c10::IValue>(&a.data);
  const auto* y = std::get_if<c10::IValue>(&b.data);
  if (!x || !y) return false;
  if (x->isInt() && y->isInt()) return x->toInt() == y->toInt();
  return x->isDouble() && y->isDouble() &&
         std::bit_cast<uint64_t>(x->toDouble()) == std::bit_cast<uint64_t>(y->toDouble());
}

// Nodes of a graph that fit the parts of a pattern so far, and what its words stand for there.
struct Match {
  std::vector<size_t> nodes;
  std::map<std::string, Arg> words;
  std::vector<ValueId> alike;  // values that lie on a mesh in one way

  bool accept(const std::string& word, const Arg& arg);
  // Takes in the next node, if it fits.
  bool accept(const Part& part, const Node& node, size_t index);
};

bool Match::accept(const std::string& word, const Arg& arg) {
  const auto* value = std::get_if<c10::IValue>(&arg.data);
  if (word == "_") return true;
  if (word == "false") return value && value->isBool() && !value->toBool();
  if (word == "0") return value && value->isInt() && value->toInt() == 0;
  const bool is_marked = word.ends_with('*');
  const auto [known, is_new] =
      words.try_emplace(is_marked ? word.substr(0, word.size() - 1) : word, arg);
  if (!is_new && !same(known->second, arg)) return false;
  if (is_marked) alike.push_back(std::get<Arg::Ref>(arg.data).value);
  return true;
}

bool Match::accept(const Part& part, const Node& node, size_t index) {
  if (ir::op_name(node.op) != part.op) return false;
  for (size_t i = 0; i < part.args.size(); ++i) {
    if (!accept(part.args[i], node.args[i])) return false;
  }
  for (size_t i = 0; i < part.results.size(); ++i) {
    words[part.results[i]] = {Arg::Ref{node.outputs[i]}};
    alike.push_back(node.outputs[i]);
  }
  nodes.push_back(index);
  return true;
}

// One pattern over one graph.
class Fuser {
 public:
  Fuser(const ir::Graph& graph, const FusePattern& pattern);
  PassResult run();

 private:
  std::optional<Match> match_from(size_t first) const;
  std::optional<Match> with_next(const Match& match) const;
  bool fits(const Match& match) const;
  bool is_there_throughout(ValueId value, const Match& match, size_t node) const;
  bool may_write_earlier(const Match& match, size_t node) const;
  void emit(const Match& match);

  const ir::Graph& graph_;
  const FusePattern& pattern_;
  Memory memory_;
  GraphRewriter rewriter_;
  std::vector<int> defined_at_;  // by value: the node that defines it, -1 for what is there before
  std::vector<std::vector<size_t>> readers_;  // by value: nodes, in order
  std::vector<bool> taken_;                   // by node: part of a match
  std::vector<std::string> log_;
};

Fuser::Fuser(const ir::Graph& graph, const FusePattern& pattern)
    : graph_(graph),
      pattern_(pattern),
      memory_(graph),
      rewriter_(graph),
      defined_at_(graph.values.size(), -1),
      readers_(graph.values.size()),
      taken_(graph.nodes.size(), false) {
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const ValueId id : graph.nodes[i].outputs) {
      const bool is_result = graph.values[id].kind == ir::ValueKind::result;
      if (is_result && defined_at_[id] < 0) defined_at_[id] = static_cast<int>(i);
    }
    for (const Arg& arg : graph.nodes[i].args) {
      ir::for_each_value(arg, [&](ValueId id) { readers_[id].push_back(i); });
    }
  }
}

// Whether a value is defined before the first node and not written before `node`.
bool Fuser::is_there_throughout(ValueId value, const Match& match, size_t node) const {
  if (defined_at_[value] >= static_cast<int>(match.nodes[0])) return false;
  for (size_t i = match.nodes[0] + 1; i < node; ++i) {
    for (const ValueId written : written_values(graph_.nodes[i])) {
      if (memory_.may_alias(written, value)) return false;
    }
  }
  return true;
}

// Whether what a node writes is not touched between the first and it.
bool Fuser::may_write_earlier(const Match& match, size_t node) const {
  bool untouched = true;
  for (const ValueId written : written_values(graph_.nodes[node])) {
    for (size_t i = match.nodes[0] + 1; i < node; ++i) {
      for (const Arg& arg : graph_.nodes[i].args) {
        ir::for_each_value(
            arg, [&](ValueId id) { untouched = untouched && !memory_.may_alias(id, written); });
      }
    }
  }
  return untouched;
}

// Whether its last node may be done where the first one is.
bool Fuser::fits(const Match& match) const {
  const auto placements = [&](ValueId id) { return graph_.values[id].meta.placements; };
  if (std::any_of(match.alike.begin(), match.alike.end(),
                  [&](ValueId id) { return placements(id) != placements(match.alike[0]); })) {
    return false;
  }
  const size_t last = match.nodes.back();
  if (last == match.nodes[0]) return true;
  const auto is_own = [&](ValueId id) {
    return std::any_of(match.nodes.begin(), match.nodes.end(),
                       [&](size_t node) { return defined_at_[id] == static_cast<int>(node); });
  };
  bool there = may_write_earlier(match, last);
  for (const Arg& arg : graph_.nodes[last].args) {
    ir::for_each_value(arg, [&](ValueId id) {
      // What a part gives to the next must reach it unchanged.
      there = there &&
              (is_own(id) ? !memory_.may_be_written(id) : is_there_throughout(id, match, last));
    });
  }
  return there;
}

// With the first node that fits the next part: one that reads a value of the match.
std::optional<Match> Fuser::with_next(const Match& match) const {
  const Part& part = pattern_.parts[match.nodes.size()];
  for (const std::string& word : part.args) {
    const auto known =
        match.words.find(word.ends_with('*') ? word.substr(0, word.size() - 1) : word);
    if (known == match.words.end()) continue;
    const auto* ref = std::get_if<Arg::Ref>(&known->second.data);
    if (!ref) continue;
    for (const size_t i : readers_[ref->value]) {
      if (i <= match.nodes.back() || taken_[i]) continue;
      Match next = match;
      if (next.accept(part, graph_.nodes[i], i) && fits(next)) return next;
    }
    return std::nullopt;
  }
  return std::nullopt;
}

std::optional<Match> Fuser::match_from(size_t first) const {
  Match match;
  if (taken_[first] || !match.accept(pattern_.parts[0], graph_.nodes[first], first)) return {};
  if (!fits(match)) return {};
  while (match.nodes.size() < pattern_.parts.size()) {
    std::optional<Match> next = with_next(match);
    if (!next) return {};
    match = std::move(*next);
  }
  return match;
}

void Fuser::emit(const Match& match) {
  Node fused{c10::Dispatcher::singleton().findSchemaOrThrow(pattern_.fused.c_str(), ""),
             {},
             {},
             /*returns_list=*/false};
  for (const std::string& word : pattern_.args) {
    fused.args.push_back(rewriter_.arg(match.words.at(word)));
  }
  std::vector<std::string> lines;
  for (const size_t i : match.nodes) {
    const Node& node = graph_.nodes[i];
    for (const ValueId id : node.outputs) fused.outputs.push_back(rewriter_.define(id));
    lines.push_back(to_string(graph_, node));
  }
  rewriter_.append(std::move(fused));
  log_.push_back(fmt::format("fused {}", fmt::join(lines, "; ")));
}

PassResult Fuser::run() {
  std::map<size_t, Match> matches;  // by the first node
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    std::optional<Match> match = match_from(i);
    if (!match) continue;
    for (const size_t node : match->nodes) taken_[node] = true;
    matches.emplace(i, std::move(*match));
  }
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    if (const auto match = matches.find(i); match != matches.end()) {
      emit(match->second);
    } else if (!taken_[i]) {
      rewriter_.copy(graph_.nodes[i]);
    }
  }
  return {rewriter_.finish(graph_.outputs), std::move(log_)};
}

}  // namespace

// A pattern comes after those whose operators it takes.
PassResult fuse(const ir::Graph& graph) {
  PassResult result{graph, {}};
  for (const FusePattern& pattern : fuse_patterns()) {
    PassResult next = Fuser(result.graph, pattern).run();
    result.graph = std::move(next.graph);
    result.log.insert(result.log.end(), next.log.begin(), next.log.end());
  }
  return result;
}

}  // namespace samebits::passes
