#include "harness/capture/passes/common_subexpressions.h"

#include <ATen/core/ivalue.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>

#include "harness/capture/passes/effects.h"
#include "harness/capture/passes/rewriter.h"
#include "harness/capture/print.h"

namespace samebits::passes {
namespace {

using ir::Arg;
using ir::ValueId;

bool same_constant(const c10::IValue& a, const c10::IValue& b) {
  if (a.isNone() || b.isNone()) return a.isNone() && b.isNone();
  if (a.tagKind() != b.tagKind()) return false;
  if (a.isDouble()) {
    return std::bit_cast<uint64_t>(a.toDouble()) == std::bit_cast<uint64_t>(b.toDouble());
  }
  if (a.isBool()) return a.toBool() == b.toBool();
  if (a.isInt()) return a.toInt() == b.toInt();
  if (a.isString()) return a.toStringRef() == b.toStringRef();
  if (a.isDevice()) return a.toDevice() == b.toDevice();
  if (a.isCustomClass() && b.isCustomClass()) {
    // Each IValue has a wrapper of its own around the one object.
    return *a.type() == *b.type() && a.toObjectRef().getSlot(0).is(b.toObjectRef().getSlot(0));
  }
  if (!a.isList()) return false;
  const auto left = a.toListRef();
  const auto right = b.toListRef();
  return *a.type() == *b.type() &&
         std::equal(left.begin(), left.end(), right.begin(), right.end(), same_constant);
}

// One run of the pass.
class Merger {
 public:
  explicit Merger(const ir::Graph& graph);
  PassResult run();

 private:
  bool is_candidate(const ir::Node& node) const;
  const ir::Node* find_equal(const ir::Node& node) const;
  bool same_arg(const Arg& a, const Arg& b) const;
  bool both_returned(const ir::Node& a, const ir::Node& b) const;
  void merge(const ir::Node& node, const ir::Node& into);
  void forget_readers_of(ValueId written);

  const ir::Graph& graph_;
  Memory memory_;
  GraphRewriter rewriter_;
  std::vector<ValueId> stands_for_;  // by value: the value that it was merged into, or itself
  std::vector<bool> returned_;       // by value: may be returned
  std::map<std::string, std::vector<const ir::Node*>> known_;  // by operator
  std::vector<std::string> log_;
};

Merger::Merger(const ir::Graph& graph)
    : graph_(graph), memory_(graph), rewriter_(graph), returned_(graph.values.size(), false) {
  for (size_t i = 0; i < graph.values.size(); ++i) {
    const auto id = static_cast<ValueId>(i);
    stands_for_.push_back(id);
    returned_[i] = std::any_of(graph.outputs.begin(), graph.outputs.end(),
                               [&](ValueId output) { return memory_.may_alias(id, output); });
  }
}

bool Merger::is_candidate(const ir::Node& node) const {
  return is_pure(node) && std::none_of(node.outputs.begin(), node.outputs.end(),
                                       [&](ValueId id) { return memory_.may_be_written(id); });
}

bool Merger::same_arg(const Arg& a, const Arg& b) const {
  if (a.data.index() != b.data.index()) return false;
  if (const auto* value = std::get_if<c10::IValue>(&a.data)) {
    return same_constant(*value, std::get<c10::IValue>(b.data));
  }
  if (const auto* ref = std::get_if<Arg::Ref>(&a.data)) {
    return stands_for_[ref->value] == stands_for_[std::get<Arg::Ref>(b.data).value];
  }
  if (const auto* e = std::get_if<sym::Expr>(&a.data)) return *e == std::get<sym::Expr>(b.data);
  const auto& left = std::get<Arg::List>(a.data);
  const auto& right = std::get<Arg::List>(b.data);
  return *left.element_type == *right.element_type &&
         std::equal(left.items.begin(), left.items.end(), right.items.begin(), right.items.end(),
                    [&](const Arg& x, const Arg& y) { return same_arg(x, y); });
}

bool Merger::both_returned(const ir::Node& a, const ir::Node& b) const {
  for (size_t i = 0; i < a.outputs.size(); ++i) {
    if (returned_[a.outputs[i]] && returned_[b.outputs[i]]) return true;
  }
  return false;
}

const ir::Node* Merger::find_equal(const ir::Node& node) const {
  const auto same_op = known_.find(ir::op_name(node.op));
  if (same_op == known_.end()) return nullptr;
  for (const ir::Node* other : same_op->second) {
    const bool equal = std::equal(node.args.begin(), node.args.end(), other->args.begin(),
                                  [&](const Arg& a, const Arg& b) { return same_arg(a, b); });
    if (equal && node.outputs.size() == other->outputs.size() && !both_returned(*other, node)) {
      return other;
    }
  }
  return nullptr;
}

void Merger::merge(const ir::Node& node, const ir::Node& into) {
  std::string names;
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    const ValueId from = node.outputs[i];
    const ValueId to = into.outputs[i];
    rewriter_.replace(from, rewriter_.value(to));
    rewriter_.add_site(rewriter_.value(to), graph_.values[from].site);
    stands_for_[from] = to;
    returned_[to] = returned_[to] || returned_[from];
    names += (names.empty() ? "" : ", ") + graph_.values[to].name;
  }
  log_.push_back(fmt::format("merged into {}: {}", names, to_string(graph_, node)));
}

void Merger::forget_readers_of(ValueId written) {
  const auto touches = [&](const ir::Node* node) {
    bool any = false;
    const auto look = [&](ValueId id) { any = any || memory_.may_alias(id, written); };
    for (const Arg& arg : node->args) ir::for_each_value(arg, look);
    return any;
  };
  for (auto& [op, nodes] : known_) std::erase_if(nodes, touches);
}

PassResult Merger::run() {
  for (const ir::Node& node : graph_.nodes) {
    const bool candidate = is_candidate(node);
    if (const ir::Node* equal = candidate ? find_equal(node) : nullptr) {
      merge(node, *equal);
      continue;
    }
    rewriter_.copy(node);
    for (const ValueId id : written_values(node)) forget_readers_of(id);
    if (candidate) known_[ir::op_name(node.op)].push_back(&node);
  }
  return {rewriter_.finish(graph_.outputs), std::move(log_)};
}

}  // namespace

PassResult common_subexpressions(const ir::Graph& graph) { return Merger(graph).run(); }

}  // namespace samebits::passes
