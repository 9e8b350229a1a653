#include "harness/capture/passes/digest_marks.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>
#include <utility>

#include "harness/capture/passes/effects.h"
#include "harness/capture/passes/rewriter.h"
#include "harness/kernels/digest_rows.h"

namespace samebits::passes {
namespace {

using ir::Arg;
using ir::Node;
using ir::ValueId;

// How digest_rows reads a value: rows of `width` elements, counted by a symbol; -1: all of them.
struct Layout {
  int64_t width = 1;
  int64_t symbol = -1;
};

Layout layout_of(const Mark& mark) {
  TORCH_CHECK_NOT_IMPLEMENTED(!mark.meta.sizes.empty(), "the scalar ", mark.site,
                              " cannot be observed where nobody sees operators");
  Layout layout;
  for (const sym::Expr& size : mark.meta.sizes) {
    if (const auto constant = size.constant()) {
      layout.width *= *constant;
      continue;
    }
    const sym::AtomPtr atom = size.as_atom();
    TORCH_CHECK_NOT_IMPLEMENTED(
        atom && atom->kind == sym::AtomKind::symbol && layout.symbol < 0 && layout.width == 1,
        mark.site, ": padding in its size ", size.str(), " would lie between what is observed");
    layout.symbol = atom->id;
  }
  // Without rows, the value is one; without elements, any width will do.
  if (layout.symbol < 0 || layout.width == 0) layout.width = 1;
  return layout;
}

class MarkDigester {
 public:
  MarkDigester(const ir::Graph& graph, const at::Tensor& symbols,
               const std::vector<std::string>& splitting, int64_t hosted_ranks)
      : graph_(graph),
        splitting_(splitting),
        hosted_ranks_(hosted_ranks),
        memory_(graph),
        rewriter_(graph),
        symbols_(rewriter_.add_constant(symbols, {{symbols.size(0)}, at::kLong, ""})) {}

  DigestedGraph run() {
    for (const Node& node : graph_.nodes) {
      if (ir::op_name(node.op) == "samebits::mark") {
        add(node);
        continue;
      }
      if (splits(node)) digest();
      rewriter_.copy(node);
    }
    digest();
    TORCH_CHECK(!marks_.empty(), "the graph marks nothing that could be observed");
    DigestedGraph result{rewriter_.finish(graph_.outputs), std::move(marks_)};
    result.graph.outputs.insert(result.graph.outputs.end(), sums_.begin(), sums_.end());
    ir::check(result.graph);
    return result;
  }

 private:
  struct Pending {
    ValueId value;  // of the new graph, plain
    Layout layout;
  };

  void add(const Node& mark) {
    const ValueId source = std::get<Arg::Ref>(mark.args[0].data).value;
    Mark& seen = marks_.emplace_back();
    seen.site = std::get<c10::IValue>(mark.args[1].data).toStringRef();
    seen.meta = graph_.values[source].meta;
    const std::string placements = std::exchange(seen.meta.placements, "");
    const ValueId value = rewriter_.value(source);
    if (placements == "R") {
      seen.digests = hosted_ranks_;
      for (const ValueId local : append_to_local(value, seen.meta)) add(local, source, seen);
    } else if (!placements.empty()) {
      add(append("samebits::full_tensor", {{Arg::Ref{value}}}, seen.meta), layout_of(seen));
    } else {
      add(value, source, seen);
    }
  }

  // `value` has the memory of `source`, of the old graph.
  void add(ValueId value, ValueId source, const Mark& seen) {
    if (memory_.may_be_written(source)) {
      value = append("aten::clone", {{Arg::Ref{value}}, {c10::IValue()}}, seen.meta);
    }
    add(value, layout_of(seen));
  }

  void add(ValueId value, const Layout& layout) {
    pending_.push_back({value, layout});
    if (static_cast<int64_t>(pending_.size()) == kMaxDigestedValues) digest();
  }

  ValueId append(const char* op, std::vector<Arg> args, ir::ValueMeta meta) {
    const ValueId result = rewriter_.add_result(std::move(meta));
    rewriter_.append(
        {c10::Dispatcher::singleton().findSchemaOrThrow(op, ""), std::move(args), {result}});
    return result;
  }

  std::vector<ValueId> append_to_local(ValueId value, const ir::ValueMeta& meta) {
    std::vector<ValueId> locals;
    for (int64_t i = 0; i < hosted_ranks_; ++i) locals.push_back(rewriter_.add_result(meta));
    rewriter_.append({c10::Dispatcher::singleton().findSchemaOrThrow("samebits::to_local", ""),
                      {{Arg::Ref{value}}},
                      locals,
                      /*returns_list=*/true});
    return locals;
  }

  bool splits(const Node& node) const {
    return std::find(splitting_.begin(), splitting_.end(), ir::op_name(node.op)) !=
           splitting_.end();
  }

  void digest() {
    if (pending_.empty()) return;
    Arg::List values{c10::TensorType::get(), {}};
    c10::List<int64_t> widths, rows;
    for (const Pending& each : pending_) {
      values.items.push_back({Arg::Ref{each.value}});
      widths.push_back(each.layout.width);
      rows.push_back(each.layout.symbol);
    }
    sums_.push_back(append(
        "samebits::digest_rows",
        {{std::move(values)}, {c10::IValue(widths)}, {c10::IValue(rows)}, {Arg::Ref{symbols_}}},
        {{static_cast<int64_t>(pending_.size()), 2}, at::kLong, ""}));
    pending_.clear();
  }

  const ir::Graph& graph_;
  const std::vector<std::string>& splitting_;
  int64_t hosted_ranks_;
  Memory memory_;
  GraphRewriter rewriter_;
  ValueId symbols_;
  std::vector<Mark> marks_;
  std::vector<Pending> pending_;
  std::vector<ValueId> sums_;
};

}  // namespace

DigestedGraph digest_marks(const ir::Graph& graph, const at::Tensor& symbols,
                           const std::vector<std::string>& splitting, int64_t hosted_ranks) {
  return MarkDigester(graph, symbols, splitting, hosted_ranks).run();
}

}  // namespace samebits::passes
