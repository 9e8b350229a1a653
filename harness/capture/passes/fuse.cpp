#include "harness/capture/passes/fuse.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "harness/capture/passes/effects.h"
#include "harness/capture/passes/rewriter.h"
#include "harness/capture/print.h"

namespace samebits::passes {
namespace {

using ir::Arg;
using ir::Node;
using ir::ValueId;

ValueId value_of(const Arg& arg) { return std::get<Arg::Ref>(arg.data).value; }

// A residual_add and the norm of its sum, by their places in the graph.
struct Pair {
  size_t add;
  size_t norm;
};

class Fuser {
 public:
  explicit Fuser(const ir::Graph& graph);
  PassResult run();

 private:
  std::optional<size_t> add_before(size_t norm) const;
  bool placed_alike(const Node& add, const Node& norm) const;
  bool is_written_between(ValueId value, const Pair& pair) const;
  void emit(const Pair& pair);

  const ir::Graph& graph_;
  Memory memory_;
  GraphRewriter rewriter_;
  std::vector<int> defined_at_;  // by value: the node that defines it, -1 for what is there before
  std::map<size_t, size_t> norm_of_add_;
  std::vector<std::string> log_;
};

Fuser::Fuser(const ir::Graph& graph)
    : graph_(graph), memory_(graph), rewriter_(graph), defined_at_(graph.values.size(), -1) {
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const ValueId id : graph.nodes[i].outputs) {
      const bool is_result = graph.values[id].kind == ir::ValueKind::result;
      if (is_result && defined_at_[id] < 0) defined_at_[id] = static_cast<int>(i);
    }
  }
}

// One Shard of rows, or Replicate, or plain tensors throughout.
bool Fuser::placed_alike(const Node& add, const Node& norm) const {
  const auto placements = [&](ValueId id) { return graph_.values[id].meta.placements; };
  const std::string rows = placements(norm.outputs[0]);
  return placements(value_of(add.args[0])) == rows && placements(value_of(add.args[1])) == rows &&
         placements(add.outputs[0]) == rows;
}

bool Fuser::is_written_between(ValueId value, const Pair& pair) const {
  for (size_t i = pair.add + 1; i < pair.norm; ++i) {
    for (const ValueId written : written_values(graph_.nodes[i])) {
      if (memory_.may_alias(written, value)) return true;
    }
  }
  return false;
}

std::optional<size_t> Fuser::add_before(size_t norm_at) const {
  const Node& norm = graph_.nodes[norm_at];
  if (ir::op_name(norm.op) != "samebits::rms_norm") return std::nullopt;
  const auto* fused_rounding = std::get_if<c10::IValue>(&norm.args[3].data);
  if (!fused_rounding || fused_rounding->toBool()) return std::nullopt;
  const ValueId sum = value_of(norm.args[0]);
  if (defined_at_[sum] < 0) return std::nullopt;
  const Pair pair{static_cast<size_t>(defined_at_[sum]), norm_at};
  const Node& add = graph_.nodes[pair.add];
  const ValueId weight = value_of(norm.args[1]);
  const bool fits = ir::op_name(add.op) == "samebits::residual_add" && placed_alike(add, norm) &&
                    defined_at_[weight] < static_cast<int>(pair.add) &&
                    !is_written_between(sum, pair) && !is_written_between(weight, pair);
  return fits && norm_of_add_.count(pair.add) == 0 ? std::optional(pair.add) : std::nullopt;
}

void Fuser::emit(const Pair& pair) {
  static const c10::OperatorHandle op =
      c10::Dispatcher::singleton().findSchemaOrThrow("samebits::residual_rms_norm", "");
  const Node& add = graph_.nodes[pair.add];
  const Node& norm = graph_.nodes[pair.norm];
  Node fused{op, {}, {}, /*returns_list=*/false};
  for (const Arg* arg : {&add.args[0], &add.args[1], &norm.args[1], &norm.args[2]}) {
    fused.args.push_back(rewriter_.arg(*arg));
  }
  fused.outputs = {rewriter_.define(add.outputs[0]), rewriter_.define(norm.outputs[0])};
  rewriter_.append(std::move(fused));
  log_.push_back(fmt::format("fused {}; {}", to_string(graph_, add), to_string(graph_, norm)));
}

PassResult Fuser::run() {
  std::vector<bool> is_fused_norm(graph_.nodes.size(), false);
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    if (const auto add = add_before(i)) {
      norm_of_add_[*add] = i;
      is_fused_norm[i] = true;
    }
  }
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    if (const auto pair = norm_of_add_.find(i); pair != norm_of_add_.end()) {
      emit({i, pair->second});
    } else if (!is_fused_norm[i]) {
      rewriter_.copy(graph_.nodes[i]);
    }
  }
  return {rewriter_.finish(graph_.outputs), std::move(log_)};
}

}  // namespace

PassResult fuse(const ir::Graph& graph) { return Fuser(graph).run(); }

}  // namespace samebits::passes
