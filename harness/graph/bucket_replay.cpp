#include "harness/graph/bucket_replay.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "harness/base/error.h"
#include "harness/capture/executor.h"
#include "harness/graph/unowned.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;
using Symbols = std::vector<int64_t>;

bool uses(const sym::Expr& e, const std::set<int>& symbols) {
  const auto of_atom = [&](const sym::AtomPtr& atom) {
    if (atom->kind == sym::AtomKind::symbol) return symbols.count(atom->id) != 0;
    return std::any_of(atom->operands.begin(), atom->operands.end(),
                       [&](const sym::Expr& operand) { return uses(operand, symbols); });
  };
  return std::any_of(e.terms().begin(), e.terms().end(), [&](const sym::Term& term) {
    return std::any_of(term.factors.begin(), term.factors.end(), of_atom);
  });
}

bool uses(const ir::Arg& arg, const std::set<int>& symbols) {
  if (const auto* e = std::get_if<sym::Expr>(&arg.data)) return uses(*e, symbols);
  const auto* list = std::get_if<ir::Arg::List>(&arg.data);
  return list && std::any_of(list->items.begin(), list->items.end(),
                             [&](const ir::Arg& item) { return uses(item, symbols); });
}

// A recorded launch holds addresses and sizes: those of inputs that are not static change.
void check_static(const passes::SplitGraph& split, const std::vector<bool>& is_dynamic) {
  const ir::Graph& whole = *split.whole;
  std::set<ir::ValueId> values;
  std::set<int> symbols;
  for (size_t i = 0; i < is_dynamic.size(); ++i) {
    if (is_dynamic[i]) values.insert(whole.inputs[i]);
  }
  for (const ir::SymbolBinding& binding : whole.bindings) {
    if (is_dynamic[binding.input]) symbols.insert(binding.symbol);
  }
  for (const passes::Piece& piece : split.pieces) {
    if (piece.at_split) continue;
    std::set<ir::ValueId> refused;  // of the piece
    for (size_t i = 0; i < piece.inputs.size(); ++i) {
      if (values.count(piece.inputs[i]) != 0) refused.insert(piece.graph->inputs[i]);
    }
    for (const ir::Node& node : piece.graph->nodes) {
      for (const ir::Arg& arg : node.args) {
        bool takes = uses(arg, symbols);
        ir::for_each_value(arg, [&](ir::ValueId id) { takes = takes || refused.count(id) != 0; });
        TORCH_CHECK(!takes, ir::op_name(node.op), ": takes an input that is not static, or a size ",
                    "of one, which only operators between pieces may");
      }
    }
  }
}

}  // namespace

// A piece that is captured at its first run and replayed from then on.
class BucketReplay::CapturedPiece {
 public:
  CapturedPiece(std::string name, const passes::Piece& piece, std::shared_ptr<ReplayPool> pool)
      : name_(std::move(name)), pool_(std::move(pool)), executor_(std::in_place, piece.graph) {}

  Tensors run(const Tensors& inputs, const Symbols& symbols) {
    if (!graph_) return capture(inputs, symbols);
    graph_->replay();
    Tensors outputs;
    for (size_t i = 0; i < graph_->outputs(); ++i) outputs.push_back(graph_->output(i));
    return outputs;
  }

  ReplayWitness witness() const { return graph_ ? graph_->witness() : ReplayWitness(); }

 private:
  // The outputs with their share in the memory: whoever captures the next pieces holds what they
  // need.
  Tensors capture(const Tensors& inputs, const Symbols& symbols) {
    Tensors outputs;
    const Program program = [&](const Tensors& in) {
      return outputs = executor_->run(in, symbols);
    };
    graph_ = pool_->capture(name_, program, inputs);
    executor_.reset();
    return outputs;
  }

  std::string name_;
  std::shared_ptr<ReplayPool> pool_;
  std::optional<Executor> executor_;  // until it is captured
  std::unique_ptr<ReplayGraph> graph_;
};

// A piece at a split. Its first run computes nothing: it makes room for the results.
class BucketReplay::EagerPiece {
 public:
  EagerPiece(std::string name, const passes::Piece& piece, std::shared_ptr<ReplayPool> pool,
             SplitResults policy)
      : name_(std::move(name)),
        piece_(piece),
        pool_(std::move(pool)),
        policy_(policy),
        executor_(piece.graph) {}

  Tensors run(const Tensors& inputs, const Symbols& symbols) {
    if (!has_room_) return make_room(inputs, symbols);
    Tensors results = executor_.run(inputs, symbols);
    if (policy_ == SplitResults::kHandedOn) return results;
    for (size_t i = 0; i < results.size(); ++i) {
      if (!results_[i]) continue;
      const StaticBuffer& to = *results_[i];
      if (results[i].sizes() != to.memory.sizes()) {
        throw RunError(fmt::format("{} is [{}], capture expected [{}]", to.name,
                                   fmt::join(results[i].sizes(), ", "),
                                   fmt::join(to.memory.sizes(), ", ")));
      }
      pool_->copy(to, results[i], /*padding=*/{});
      results[i] = to.memory;
    }
    return results;
  }

  int64_t operators() const { return executor_.nodes_executed(); }

 private:
  Tensors make_room(const Tensors& inputs, const Symbols& symbols) {
    has_room_ = true;
    Tensors outputs;
    for (size_t i = 0; i < piece_.outputs.size(); ++i) {
      const auto input = std::find(piece_.inputs.begin(), piece_.inputs.end(), piece_.outputs[i]);
      if (input != piece_.inputs.end()) {  // written in place
        outputs.push_back(inputs[input - piece_.inputs.begin()]);
        results_.emplace_back();
        continue;
      }
      const ir::ValueMeta& meta = piece_.graph->values[piece_.graph->outputs[i]].meta;
      TORCH_CHECK_NOT_IMPLEMENTED(meta.placements.empty(), name_,
                                  ": gives a DTensor, which cannot be copied to a buffer yet");
      std::vector<int64_t> sizes;
      for (const sym::Expr& size : meta.sizes) sizes.push_back(size.evaluate(symbols));
      StaticBuffer buffer =
          pool_->make_buffer(fmt::format("result {} of {}", i, name_), sizes, meta.dtype);
      outputs.push_back(buffer.memory);
      buffer.memory = unowned(buffer.memory);
      results_.push_back(std::move(buffer));
    }
    return outputs;
  }

  std::string name_;
  passes::Piece piece_;
  std::shared_ptr<ReplayPool> pool_;
  SplitResults policy_;
  Executor executor_;
  bool has_room_ = false;
  std::vector<std::optional<StaticBuffer>> results_;  // none: written in place
};

BucketReplay::BucketReplay(const std::string& name, passes::SplitGraph split,
                           const std::vector<bool>& is_dynamic,
                           const std::shared_ptr<ReplayPool>& pool, SplitResults results) {
  check_static(split, is_dynamic);
  const bool is_whole = split.pieces.size() == 1;
  pieces_ = std::make_unique<PiecewiseExecutor>(
      std::move(split), [&](const passes::Piece& piece, size_t index) {
        return make_piece(is_whole ? name : fmt::format("{}, piece {}", name, index), piece, pool,
                          results);
      });
}

BucketReplay::~BucketReplay() = default;

RunPiece BucketReplay::make_piece(const std::string& name, const passes::Piece& piece,
                                  const std::shared_ptr<ReplayPool>& pool, SplitResults results) {
  const auto runs = [](const auto& made) -> RunPiece {
    return [made](const Tensors& inputs, const Symbols& symbols) {
      return made->run(inputs, symbols);
    };
  };
  if (piece.at_split) {
    return runs(eager_.emplace_back(std::make_shared<EagerPiece>(name, piece, pool, results)));
  }
  return runs(captured_.emplace_back(std::make_shared<CapturedPiece>(name, piece, pool)));
}

void BucketReplay::capture(const Tensors& inputs, const Symbols& symbols) {
  pieces_->run(inputs, symbols);
}

Tensors BucketReplay::run(const Tensors& inputs, const Symbols& symbols) {
  return pieces_->run(inputs, symbols);
}

ReplayWitness BucketReplay::witness() const {
  ReplayWitness sum;
  for (const auto& piece : captured_) sum += piece->witness();
  for (const auto& piece : eager_) sum.eager_operators += piece->operators();
  return sum;
}

}  // namespace samebits
