#include "harness/capture/persistent/lower.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "harness/base/error.h"
#include "harness/capture/passes/effects.h"
#include "harness/capture/passes/rewriter.h"
#include "harness/capture/persistent/match.h"

namespace samebits::passes {
namespace {

using ir::Arg;
using ir::Node;
using ir::ValueId;

constexpr const char* kWhere = "lowering a decode step";

// Calls f(value) for every value that a stage takes.
template <typename F>
void for_each_operand(const Stage& stage, F f) {
  if (const auto* embed = std::get_if<EmbedStage>(&stage)) {
    for (const int id : {embed->ids, embed->weight}) f(id);
  } else if (const auto* columns = std::get_if<ColumnsStage>(&stage)) {
    for (const int id : {columns->x, columns->norm, columns->rows}) f(id);
    for (const Projection& projection : columns->projections) f(projection.weight);
  } else if (const auto* rows = std::get_if<RowsStage>(&stage)) {
    for (const int id : {rows->x, rows->weight, rows->residual}) f(id);
  } else if (const auto* sample = std::get_if<SampleStage>(&stage)) {
    for (const int id : {sample->x, sample->keys}) f(id);
  } else {
    const auto& attention = std::get<AttentionStage>(stage);
    for (const int id :
         {attention.queries.x, attention.queries.norm, attention.keys.x, attention.keys.norm,
          attention.v, attention.cos, attention.sin, attention.positions, attention.slots,
          attention.block_table, attention.cu_seqlens, attention.seq_lens}) {
      f(id);
    }
  }
}

class Lowering {
 public:
  Lowering(const ir::Graph& graph, const at::Tensor& progress)
      : graph_(graph),
        flow_(graph),
        memory_(graph),
        rewriter_(graph),
        progress_(progress),
        list_(c10::make_intrusive<StageList>()),
        is_of_stage_(graph.nodes.size(), false),
        first_after_(graph.nodes.size()) {}

  PassResult run() {
    take_stages();
    find_results();
    order_the_rest();
    for_the_rest(/*after=*/false);
    emit_stages();
    for_the_rest(/*after=*/true);
    for (const ValueId id : graph_.outputs) require(id);
    return {rewriter_.finish(graph_.outputs), lines_of(*list_)};
  }

 private:
  void take_stages() {
    std::set<int> made;
    std::vector<MatchedStage> matched = match_stages(graph_, flow_);
    if (matched.empty()) throw InputError(kWhere, "a graph without stages", "a decode step");
    for (MatchedStage& each : matched) {
      for (const size_t i : each.nodes) {
        is_of_stage_[i] = true;
        made.insert(graph_.nodes[i].outputs.begin(), graph_.nodes[i].outputs.end());
      }
      if (const auto* attention = std::get_if<AttentionStage>(&each.stage)) {
        list_->caches.insert(list_->caches.end(), {attention->k_cache, attention->v_cache});
      }
      list_->stages.push_back(std::move(each.stage));
    }
    list_->widths = widths_of(graph_, list_->stages);
    for (const Stage& stage : list_->stages) {
      for_each_operand(stage, [&](int id) {
        const auto& operands = list_->operands;
        const bool is_known = std::find(operands.begin(), operands.end(), id) != operands.end();
        if (id != kNoValue && made.count(id) == 0 && !is_known) list_->operands.push_back(id);
      });
    }
  }

  bool stays(size_t node) const {
    return !is_of_stage_[node] && !flow_.is_mark(node) && !flow_.is_view(node);
  }
  bool is_made_by_stages(ValueId value) const {
    const auto at = flow_.definition(value);
    return at && is_of_stage_[*at];
  }

  // What stages make and somebody else needs.
  void find_results() {
    std::set<int> results;
    const auto need = [&](ValueId id) {
      if (is_made_by_stages(id)) results.insert(flow_.viewed(id));
    };
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (!stays(i)) continue;
      for (const Arg& arg : graph_.nodes[i].args) ir::for_each_value(arg, need);
    }
    for (const ValueId id : graph_.outputs) need(id);
    list_->results.assign(results.begin(), results.end());
  }

  // Which of the operators that stay need what stages make; no stage may need them.
  void order_the_rest() {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (flow_.is_mark(i) || flow_.is_view(i)) continue;
      for (const Arg& arg : graph_.nodes[i].args) {
        ir::for_each_value(arg, [&](ValueId id) { note_need(i, flow_.definition(id)); });
      }
    }
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (stays(i)) check_memory(graph_.nodes[i]);
    }
  }

  // A node needs a result of another one, if it is one.
  void note_need(size_t node, std::optional<size_t> other) {
    if (!other) return;
    if (is_of_stage_[node]) {
      if (first_after_[*other]) refuse_between(*first_after_[*other], node);
      return;
    }
    const std::optional<size_t> first = is_of_stage_[*other] ? node : first_after_[*other];
    if (first) first_after_[node] = std::min(first_after_[node].value_or(node), *first);
  }

  [[noreturn]] void refuse_between(size_t node, size_t stage) const {
    throw InputError(
        kWhere,
        fmt::format("{} between two stages, the second of which is that of {}",
                    ir::op_name(graph_.nodes[node].op), ir::op_name(graph_.nodes[stage].op)),
        "a decoder's operators as they are captured, on plain tensors");
  }

  void check_memory(const Node& node) const {
    const std::string name = ir::op_name(node.op);
    if (!is_pure(node))
      throw InputError(kWhere, name + ", which writes memory", "operators without effect");
    for (const Arg& arg : node.args) {
      ir::for_each_value(arg, [&](ValueId id) {
        for (const int cache : list_->caches) {
          if (graph_.values[id].kind != ir::ValueKind::constant || !memory_.may_alias(id, cache))
            continue;
          throw InputError(kWhere, name + ", which reads keys or values", "stages alone to do so");
        }
      });
    }
  }

  void for_the_rest(bool after) {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (!stays(i) || first_after_[i].has_value() != after) continue;
      for (const Arg& arg : graph_.nodes[i].args) {
        ir::for_each_value(arg, [&](ValueId id) { require(id); });
      }
      rewriter_.copy(graph_.nodes[i]);
    }
  }

  // Defines a view that an operator needs.
  void require(ValueId value) {
    if (flow_.viewed(value) == value || required_.count(value) != 0) return;
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Node& node = graph_.nodes[i];
      if (!flow_.is_view(i) || node.outputs[0] != value) continue;
      require(std::get<Arg::Ref>(node.args[0].data).value);
      rewriter_.copy(node);
      required_.insert(value);
      return;
    }
  }

  Arg::List tensors(const std::vector<int>& values) {
    Arg::List list{c10::TensorType::get(), {}};
    for (const int id : values) list.items.push_back({Arg::Ref{rewriter_.value(id)}});
    return list;
  }

  void emit_stages() {
    Arg::List caches = tensors(list_->caches);
    // On a card alone.
    const int64_t words = progress_.is_cuda() ? exchange_words(list_->widths) : 0;
    const at::Tensor exchanged = at::zeros({words}, progress_.options());
    const ValueId progress = rewriter_.add_constant(progress_, {{2}, at::kLong, ""});
    const ValueId exchanges = rewriter_.add_constant(exchanged, {{words}, at::kLong, ""});
    Node node{c10::Dispatcher::singleton().findSchemaOrThrow("samebits::decode_stages", ""),
              {{tensors(list_->operands)},
               {std::move(caches)},
               {Arg::Ref{progress}},
               {Arg::Ref{exchanges}},
               {c10::IValue(list_)}},
              {},
              /*returns_list=*/true};
    for (const int id : list_->results) node.outputs.push_back(rewriter_.define(id));
    rewriter_.append(std::move(node));
  }

  const ir::Graph& graph_;
  Dataflow flow_;
  Memory memory_;
  GraphRewriter rewriter_;
  at::Tensor progress_;
  c10::intrusive_ptr<StageList> list_;
  std::vector<bool> is_of_stage_;  // by node
  // By node that needs what stages make: the first on the way there that stays.
  std::vector<std::optional<size_t>> first_after_;
  std::set<ValueId> required_;
};

}  // namespace

PassResult lower_decode(const ir::Graph& graph, const at::Tensor& progress) {
  register_stage_list_class();
  return Lowering(graph, progress).run();
}

}  // namespace samebits::passes
