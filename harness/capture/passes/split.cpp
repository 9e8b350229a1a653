#include "harness/capture/passes/split.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "harness/capture/passes/effects.h"
#include "harness/capture/passes/rewriter.h"

namespace samebits::passes {
namespace {

using ir::ValueId;

// Nodes [first, last) of the whole.
struct Stretch {
  size_t first;
  size_t last;
  bool at_split;
};

std::vector<Stretch> stretches(const ir::Graph& whole, const std::vector<std::string>& operators) {
  std::vector<Stretch> result;
  for (size_t i = 0; i < whole.nodes.size(); ++i) {
    const std::string name = ir::op_name(whole.nodes[i].op);
    const bool at_split = std::find(operators.begin(), operators.end(), name) != operators.end();
    if (result.empty() || result.back().at_split != at_split) result.push_back({i, i, at_split});
    result.back().last = i + 1;
  }
  return result;
}

bool is_constant(const ir::Graph& graph, ValueId id) {
  return graph.values[id].kind == ir::ValueKind::constant;
}

void push_once(std::vector<ValueId>& ids, ValueId id) {
  if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
}

// `needed`: the values that something after the stretch needs.
Piece cut(const ir::Graph& whole, const Stretch& stretch, const std::set<ValueId>& needed) {
  Piece piece;
  piece.at_split = stretch.at_split;
  std::set<ValueId> defined;
  for (size_t i = stretch.first; i < stretch.last; ++i) {
    const ir::Node& node = whole.nodes[i];
    for (const ir::Arg& arg : node.args) {
      ir::for_each_value(arg, [&](ValueId id) {
        if (!is_constant(whole, id) && defined.count(id) == 0) push_once(piece.inputs, id);
      });
    }
    std::vector<ValueId> changed = written_values(node);
    changed.insert(changed.end(), node.outputs.begin(), node.outputs.end());
    for (const ValueId id : changed) {
      if (!is_constant(whole, id) && needed.count(id) != 0) push_once(piece.outputs, id);
    }
    defined.insert(node.outputs.begin(), node.outputs.end());
  }
  GraphRewriter rewriter(whole, piece.inputs);
  for (size_t i = stretch.first; i < stretch.last; ++i) rewriter.copy(whole.nodes[i]);
  piece.graph = std::make_shared<const ir::Graph>(rewriter.finish(piece.outputs));
  return piece;
}

std::string describe(size_t index, const Stretch& stretch, const Piece& piece) {
  return fmt::format("piece {}: nodes {} to {}{}, {} inputs, {} outputs", index, stretch.first,
                     stretch.last - 1, stretch.at_split ? " (split here)" : "", piece.inputs.size(),
                     piece.outputs.size());
}

}  // namespace

SplitGraph split(std::shared_ptr<const ir::Graph> whole,
                 const std::vector<std::string>& operators) {
  const std::vector<Stretch> parts = stretches(*whole, operators);
  std::vector<Piece> pieces(parts.size());
  std::set<ValueId> needed(whole->outputs.begin(), whole->outputs.end());
  for (size_t i = parts.size(); i-- > 0;) {
    pieces[i] = cut(*whole, parts[i], needed);
    needed.insert(pieces[i].inputs.begin(), pieces[i].inputs.end());
  }
  std::vector<std::string> log;
  for (size_t i = 0; i < parts.size(); ++i) log.push_back(describe(i, parts[i], pieces[i]));
  return {std::move(whole), std::move(pieces), std::move(log)};
}

}  // namespace samebits::passes
