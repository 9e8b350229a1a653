#include "harness/capture/persistent/match.h"

#include <algorithm>

#include "harness/kernels/decode_tiles.h"

namespace samebits::passes {
namespace {

using ir::Arg;
using ir::Node;
using ir::ValueId;

const c10::IValue* constant_of(const Arg& arg) { return std::get_if<c10::IValue>(&arg.data); }
bool is_false(const Arg& arg) {
  const c10::IValue* value = constant_of(arg);
  return value && value->isBool() && !value->toBool();
}
bool is_integer(const Arg& arg, int64_t expected) {
  const c10::IValue* value = constant_of(arg);
  return value && value->isInt() && value->toInt() == expected;
}

}  // namespace

Dataflow::Dataflow(const ir::Graph& graph)
    : graph_(graph), defined_at_(graph.values.size(), -1), users_(graph.values.size()) {
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const ValueId id : graph.nodes[i].outputs) {
      if (defined_at_[id] < 0) defined_at_[id] = static_cast<int>(i);
    }
    if (is_mark(i) || is_view(i)) continue;
    for (const Arg& arg : graph.nodes[i].args) {
      ir::for_each_value(arg, [&](ValueId id) {
        std::vector<size_t>& users = users_[viewed(id)];
        if (users.empty() || users.back() != i) users.push_back(i);
      });
    }
  }
}

bool Dataflow::is_view(size_t node) const {
  return ir::op_name(graph_.nodes[node].op) == "aten::view";
}

bool Dataflow::is_mark(size_t node) const {
  return ir::op_name(graph_.nodes[node].op) == "samebits::mark";
}

ValueId Dataflow::viewed(ValueId value) const {
  while (defined_at_[value] >= 0 && is_view(static_cast<size_t>(defined_at_[value]))) {
    value = std::get<Arg::Ref>(graph_.nodes[defined_at_[value]].args[0].data).value;
  }
  return value;
}

std::optional<size_t> Dataflow::definition(ValueId value) const {
  const int at = defined_at_[viewed(value)];
  return at < 0 ? std::nullopt : std::optional<size_t>(static_cast<size_t>(at));
}

namespace {

// Each stage begins with one operator that no other begins with.
class Matcher {
 public:
  Matcher(const ir::Graph& graph, const Dataflow& flow) : graph_(graph), flow_(flow) {}

  std::optional<MatchedStage> stage_at(size_t node) const {
    const std::string name = name_of(node);
    if (name == "samebits::embedding") return embed(node);
    if (name == "samebits::rms_norm") return columns(node);
    if (name == "samebits::paged_attention") return attention(node);
    if (name == "samebits::residual_add") return rows(node);
    if (name == "samebits::sample") return sample(node);
    return std::nullopt;
  }

 private:
  const Node& node(size_t i) const { return graph_.nodes[i]; }
  std::string name_of(size_t i) const { return ir::op_name(node(i).op); }
  ValueId argument(size_t i, size_t index) const {
    const auto* ref = std::get_if<Arg::Ref>(&node(i).args[index].data);
    return ref ? flow_.viewed(ref->value) : kNoValue;
  }
  ValueId output(size_t i) const { return node(i).outputs[0]; }
  c10::ScalarType dtype(ValueId value) const { return graph_.values[value].meta.dtype; }
  double real(size_t i, size_t index) const { return constant_of(node(i).args[index])->toDouble(); }
  // The node of that operator which defines a value.
  std::optional<size_t> defined_by(ValueId value, const char* op) const {
    if (value == kNoValue) return std::nullopt;
    const auto at = flow_.definition(value);
    return at && name_of(*at) == op ? at : std::nullopt;
  }
  // A constant matrix in whole tiles, or -1.
  int64_t tiled_rows(ValueId weight) const {
    if (weight == kNoValue) return -1;
    const ir::Value& value = graph_.values[weight];
    if (value.kind != ir::ValueKind::constant || value.meta.sizes.size() != 2) return -1;
    const auto rows = value.meta.sizes[0].constant();
    return rows && *rows % kTileRows == 0 ? *rows : -1;
  }
  bool is_plain(size_t i) const {
    bool plain = true;
    for (const ValueId id : node(i).outputs) plain &= graph_.values[id].meta.placements.empty();
    return plain;
  }

  std::optional<MatchedStage> embed(size_t i) const {
    if (!is_integer(node(i).args[2], 0) || !is_plain(i)) return std::nullopt;
    return MatchedStage{EmbedStage{argument(i, 0), argument(i, 1), output(i)}, {i}};
  }

  // A product of one chain, rounded to the dtype of its operands.
  bool is_column_product(size_t i, ValueId x) const {
    return name_of(i) == "samebits::linear" && argument(i, 0) == x &&
           is_integer(node(i).args[2], 0) && dtype(output(i)) == dtype(x) &&
           tiled_rows(argument(i, 1)) > 0;
  }

  // The node that takes some rows of x along the tokens.
  std::optional<size_t> rows_taken(ValueId x) const {
    for (const size_t user : flow_.users(x)) {
      const bool takes = name_of(user) == "aten::index_select" && argument(user, 0) == x;
      if (takes && is_integer(node(user).args[1], 1)) return user;
    }
    return std::nullopt;
  }

  std::optional<MatchedStage> columns(size_t i) const {
    if (!is_false(node(i).args[3]) || !is_plain(i)) return std::nullopt;
    ColumnsStage stage{argument(i, 0), argument(i, 1), real(i, 2), output(i)};
    std::vector<size_t> nodes = {i};
    ValueId x = stage.normed;
    if (const auto taken = rows_taken(x)) {
      nodes.push_back(*taken);
      stage.rows = argument(*taken, 2);
      stage.taken = x = output(*taken);
      stage.tiling.takes_all = true;
    }
    int64_t tiles = 0;
    for (const size_t user : flow_.users(x)) {
      if (!is_column_product(user, x)) continue;
      stage.projections.push_back({argument(user, 1), output(user)});
      tiles += tiled_rows(argument(user, 1)) / kTileRows;
      nodes.push_back(user);
    }
    if (stage.projections.empty()) return std::nullopt;
    if (const auto product = silu_product(stage)) {
      stage.product = output(*product);
      nodes.push_back(*product);
      tiles /= 2;
    }
    stage.tiling.tiles = static_cast<int>(tiles);
    return MatchedStage{std::move(stage), std::move(nodes)};
  }

  // silu_mul of both projections, in their order.
  std::optional<size_t> silu_product(const ColumnsStage& stage) const {
    if (stage.projections.size() != 2) return std::nullopt;
    const std::vector<size_t>& users = flow_.users(stage.projections[0].out);
    const auto is_product = [&](size_t i) {
      return name_of(i) == "samebits::silu_mul" && is_false(node(i).args[2]) &&
             argument(i, 0) == stage.projections[0].out &&
             argument(i, 1) == stage.projections[1].out;
    };
    const auto found = std::find_if(users.begin(), users.end(), is_product);
    return found == users.end() ? std::nullopt : std::optional<size_t>(*found);
  }

  // What norms and rotates `rotated`; its nodes are appended.
  std::optional<AttentionStage::Heads> heads(ValueId rotated, std::vector<size_t>& nodes) const {
    const auto rope = defined_by(rotated, "samebits::rope");
    if (!rope || !is_false(node(*rope).args[4])) return std::nullopt;
    const auto norm = defined_by(argument(*rope, 0), "samebits::rms_norm");
    if (!norm || !is_false(node(*norm).args[3])) return std::nullopt;
    nodes.insert(nodes.end(), {*norm, *rope});
    return AttentionStage::Heads{argument(*norm, 0), argument(*norm, 1), real(*norm, 2),
                                 output(*norm), output(*rope)};
  }

  // The only write into the two caches.
  std::optional<size_t> write_into(ValueId k_cache, ValueId v_cache) const {
    const std::vector<size_t>& users = flow_.users(k_cache);
    if (users.size() != 2 || name_of(users[0]) != "samebits::write_kv" ||
        argument(users[0], 0) != k_cache || argument(users[0], 1) != v_cache) {
      return std::nullopt;
    }
    return users[0];
  }

  std::optional<MatchedStage> attention(size_t i) const {
    const auto write = write_into(argument(i, 1), argument(i, 2));
    if (!write || !is_plain(i)) return std::nullopt;
    std::vector<size_t> nodes;
    const auto queries = heads(argument(i, 0), nodes);
    const auto keys = heads(argument(*write, 2), nodes);
    if (!queries || !keys) return std::nullopt;
    const size_t rope = nodes[1];
    for (size_t a = 1; a < 4; ++a) {
      if (argument(rope, a) != argument(nodes[3], a)) return std::nullopt;
    }
    nodes.insert(nodes.end(), {*write, i});
    AttentionStage stage{*queries,
                         *keys,
                         argument(*write, 3),
                         argument(rope, 1),
                         argument(rope, 2),
                         argument(rope, 3),
                         argument(i, 1),
                         argument(i, 2),
                         argument(*write, 4),
                         argument(i, 3),
                         argument(i, 4),
                         argument(i, 5),
                         real(i, 6),
                         output(i)};
    return MatchedStage{stage, std::move(nodes)};
  }

  std::optional<MatchedStage> rows(size_t i) const {
    std::vector<size_t> nodes;
    const ValueId rounded = argument(i, 1);
    auto product = defined_by(rounded, "samebits::linear");
    if (const auto cast = defined_by(rounded, "aten::_to_copy")) {
      product = defined_by(argument(*cast, 0), "samebits::linear");
      if (!product || flow_.users(output(*product)).size() != 1) return std::nullopt;
      nodes.push_back(*cast);
    }
    // The product rounds its whole sum itself; one that is to be summed across ranks stays float32.
    if (!product || !is_plain(i) || dtype(rounded) != dtype(output(i))) return std::nullopt;
    const c10::IValue* slice = constant_of(node(*product).args[2]);
    const int64_t n = tiled_rows(argument(*product, 1));
    if (!slice || slice->toInt() <= 0 || n < 0) return std::nullopt;
    nodes.insert(nodes.end(), {*product, i});
    RowsStage stage{argument(*product, 0), argument(*product, 1),
                    slice->toInt(),        rounded,
                    argument(i, 0),        output(i)};
    stage.tiling.tiles = static_cast<int>(n / kTileRows);
    return MatchedStage{stage, std::move(nodes)};
  }

  // From the head's logits alone.
  std::optional<MatchedStage> sample(size_t i) const {
    const auto head = defined_by(argument(i, 0), "samebits::linear");
    if (!head || !defined_by(argument(*head, 0), "aten::index_select")) return std::nullopt;
    const auto constant = [&](size_t index) { return constant_of(node(i).args[index]); };
    for (size_t index = 2; index < 7; ++index) {
      if (constant(index) == nullptr) return std::nullopt;
    }
    const double temperature = constant(4)->toDouble();
    const bool is_filtered = constant(5)->toInt() > 0 || constant(6)->toDouble() < 1.0;
    if (is_filtered && temperature != 0.0) return std::nullopt;  // at 0 filters do not apply
    if (constant(2)->toInt() > kDrawnIds) return std::nullopt;
    return MatchedStage{
        SampleStage{argument(i, 0), argument(i, 1), constant(2)->toInt(), constant(3)->toInt(),
                    temperature, node(i).outputs[0], node(i).outputs[1]},
        {i}};
  }

  const ir::Graph& graph_;
  const Dataflow& flow_;
};

Tiling* tiling_of(Stage& stage) {
  if (auto* columns = std::get_if<ColumnsStage>(&stage)) return &columns->tiling;
  auto* rows = std::get_if<RowsStage>(&stage);
  return rows == nullptr ? nullptr : &rows->tiling;
}

// A layer begins with columns that are not gated.
bool begins_layer(const Stage& stage) {
  const auto* columns = std::get_if<ColumnsStage>(&stage);
  return columns != nullptr && columns->product == kNoValue;
}

// Which layer's products they are.
void deal_out(std::vector<MatchedStage>& stages) {
  std::vector<Tiling*> layer;
  const auto end_layer = [&layer] {
    LayerTiles tiles{};
    for (size_t i = 0; i < layer.size(); ++i) tiles.of[i] = layer[i]->tiles;
    for (Tiling* each : layer) each->layer = tiles;
    layer.clear();
  };
  for (MatchedStage& each : stages) {
    Tiling* const tiling = tiling_of(each.stage);
    if (tiling == nullptr) continue;
    if (begins_layer(each.stage) || layer.size() == kLayerProducts) end_layer();
    tiling->product = static_cast<int>(layer.size());
    layer.push_back(tiling);
  }
  end_layer();
}

}  // namespace

std::vector<MatchedStage> match_stages(const ir::Graph& graph, const Dataflow& flow) {
  const Matcher matcher(graph, flow);
  std::vector<MatchedStage> stages;
  std::vector<bool> taken(graph.nodes.size(), false);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    std::optional<MatchedStage> stage = matcher.stage_at(i);
    if (!stage) continue;
    const bool is_free = std::none_of(stage->nodes.begin(), stage->nodes.end(),
                                      [&](size_t node) { return taken[node]; });
    if (!is_free) continue;
    for (const size_t node : stage->nodes) taken[node] = true;
    stages.push_back(std::move(*stage));
  }
  const auto last = [](const MatchedStage& stage) {
    return *std::max_element(stage.nodes.begin(), stage.nodes.end());
  };
  std::sort(stages.begin(), stages.end(),
            [&](const MatchedStage& a, const MatchedStage& b) { return last(a) < last(b); });
  deal_out(stages);
  return stages;
}

DecodeWidths widths_of(const ir::Graph& graph, const std::vector<Stage>& stages) {
  const auto size = [&](int value, size_t dim) {
    return graph.values[value].meta.sizes[dim].constant().value_or(0);
  };
  DecodeWidths widths{};
  const auto raise_to = [](int64_t& width, int64_t to) { width = std::max(width, to); };
  for (const Stage& stage : stages) {
    if (const auto* embed = std::get_if<EmbedStage>(&stage)) {
      raise_to(widths.hidden, size(embed->weight, 1));
    } else if (const auto* rows = std::get_if<RowsStage>(&stage)) {
      raise_to(widths.hidden, size(rows->weight, 0));
    } else if (const auto* attention = std::get_if<AttentionStage>(&stage)) {
      raise_to(widths.attention, size(attention->out, 2) * size(attention->out, 3));
    } else if (const auto* columns = std::get_if<ColumnsStage>(&stage)) {
      if (columns->tiling.takes_all) continue;
      raise_to(columns->product == kNoValue ? widths.qkv : widths.inner,
               int64_t{columns->tiling.tiles} * kTileRows);
    }
  }
  return widths;
}

}  // namespace samebits::passes
