// samebits::decode_stages, and its kernel on a CPU: the stages one after the other, each by the
// contract's operators, products tile by tile as processors share them out.

#include <ATen/ops/_to_copy.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/index_select.h>
#include <torch/library.h>

#include <map>

#include "harness/capture/persistent/stages.h"
#include "harness/dispatch/launch.h"
#include "harness/dispatch/operator_traits.h"
#include "harness/dispatch/part_of.h"
#include "harness/kernels/functional.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;

const std::string kLinear = "samebits::linear";

// The tiles of a product, each as its owner finds it, joined in the order of columns.
template <typename MakeTile>
at::Tensor by_tiles(const Tiling& tiling, int first, int count, const Deal& deal, MakeTile make) {
  Tensors tiles(count);
  for (int processor = 0; processor < deal.processors; ++processor) {
    const TileShare share = share_of(tiling.tiles, deal.offset, processor, deal.processors);
    for (int i = 0; i < share.count; ++i) {
      const int tile = share.first + i * share.stride - first;
      if (tile < 0 || tile >= count) continue;
      TORCH_CHECK(!tiles[tile].defined(), "tile ", tile, " has two owners");
      tiles[tile] = make(int64_t{tile} * kTileRows);
    }
  }
  for (const at::Tensor& tile : tiles) TORCH_CHECK(tile.defined(), "a tile has no owner");
  return at::cat(tiles, /*dim=*/-1);
}

class Interpreter {
 public:
  Interpreter(const StageList& list, const Tensors& operands, const Tensors& caches,
              int64_t* progress)
      : list_(list), progress_(progress) {
    TORCH_CHECK(operands.size() == list.operands.size() && caches.size() == list.caches.size(),
                "decode_stages: found ", operands.size(), " operands and ", caches.size(),
                " caches, expected ", list.operands.size(), " and ", list.caches.size());
    for (size_t i = 0; i < operands.size(); ++i) values_[list.operands[i]] = operands[i];
    for (size_t i = 0; i < caches.size(); ++i) values_[list.caches[i]] = caches[i];
  }

  Tensors run() {
    for (const Stage& stage : list_.stages) {
      std::visit([this](const auto& each) { run_stage(each); }, stage);
      launch("decode stage", [progress = progress_] { ++progress[1]; });
    }
    launch("decode step", [progress = progress_] { ++progress[0]; });
    Tensors results;
    for (const int id : list_.results) results.push_back(at(id));
    return results;
  }

 private:
  const at::Tensor& at(int id) const { return values_.at(id); }
  void put(int id, at::Tensor value) { values_[id] = std::move(value); }

  // Who shares a product of these rows.
  Deal deal(const Tiling& tiling, const at::Tensor& x) const {
    if (tiling.takes_all) return {0, kDecodeProcessors};
    if (list_.caches.empty()) return deal_of(tiling.layer, tiling.product, kDecodeProcessors);
    const int64_t kv_heads = at(list_.caches[0]).size(2);
    return deal_of_step(tiling.layer, tiling.product, static_cast<int>(x.size(1)),
                        static_cast<int>(kv_heads));
  }

  void run_stage(const EmbedStage& stage) {
    put(stage.out, ops::embedding(at(stage.ids), at(stage.weight), /*first_row=*/0));
  }

  void run_stage(const ColumnsStage& stage) {
    put(stage.normed, ops::rms_norm(at(stage.x), at(stage.norm), stage.eps, false));
    at::Tensor x = at(stage.normed);
    if (stage.rows != kNoValue) {
      x = at::index_select(x, /*dim=*/1, at(stage.rows));
      put(stage.taken, x);
    }
    int first = 0;
    for (const Projection& projection : stage.projections) {
      const at::Tensor& weight = at(projection.weight);
      const int count = static_cast<int>(weight.size(0) / kTileRows);
      const PartOf product(kLinear);
      put(projection.out,
          by_tiles(stage.tiling, first, count, deal(stage.tiling, x), [&](int64_t row) {
            return ops::linear(x, weight.narrow(0, row, kTileRows), 0, 0, x.scalar_type());
          }));
      if (stage.product == kNoValue) first += count;
    }
    if (stage.product == kNoValue) return;
    put(stage.product,
        ops::silu_mul(at(stage.projections[0].out), at(stage.projections[1].out), false));
  }

  // [1, T, heads, head_dim].
  at::Tensor by_heads(const at::Tensor& x, const at::Tensor& like) const {
    return x.view({1, x.size(1), -1, like.size(-1)});
  }

  void run_heads(const AttentionStage& stage, const AttentionStage::Heads& heads) {
    put(heads.normed,
        ops::rms_norm(by_heads(at(heads.x), at(heads.norm)), at(heads.norm), heads.eps, false));
    put(heads.rotated,
        ops::rope(at(heads.normed), at(stage.cos), at(stage.sin), at(stage.positions), false));
  }

  void run_stage(const AttentionStage& stage) {
    run_heads(stage, stage.queries);
    run_heads(stage, stage.keys);
    const at::Tensor v = by_heads(at(stage.v), at(stage.keys.norm));
    ops::write_kv(at(stage.k_cache), at(stage.v_cache), at(stage.keys.rotated), v, at(stage.slots));
    put(stage.out, ops::paged_attention(at(stage.queries.rotated), at(stage.k_cache),
                                        at(stage.v_cache), at(stage.block_table),
                                        at(stage.cu_seqlens), at(stage.seq_lens), stage.scale));
  }

  void run_stage(const RowsStage& stage) {
    const at::Tensor& residual = at(stage.residual);
    const at::Tensor& weight = at(stage.weight);
    const at::Tensor x = at(stage.x).view({1, residual.size(1), weight.size(1)});
    {
      const PartOf product(kLinear);
      const at::Tensor sum =
          by_tiles(stage.tiling, 0, stage.tiling.tiles, deal(stage.tiling, x), [&](int64_t row) {
            return ops::linear(x, weight.narrow(0, row, kTileRows), stage.slice, 0, at::kFloat);
          });
      const bool is_float = residual.scalar_type() == at::kFloat;
      put(stage.rounded, is_float ? sum : at::_to_copy(sum, residual.options()));
    }
    put(stage.sum, ops::residual_add(residual, at(stage.rounded)));
  }

  void run_stage(const SampleStage& stage) {
    const at::Tensor& x = at(stage.x);
    auto [token, logprob] = ops::sample(x.view({-1, x.size(-1)}), at(stage.keys), stage.vocab,
                                        stage.seed, stage.temperature, /*top_k=*/0, /*top_p=*/1.0);
    put(stage.token, std::move(token));
    put(stage.logprob, std::move(logprob));
  }

  const StageList& list_;
  int64_t* progress_;
  std::map<int, at::Tensor> values_;
};

std::vector<at::Tensor> decode_stages(at::TensorList operands, at::TensorList caches,
                                      const at::Tensor& progress, const at::Tensor& /*exchanges*/,
                                      const c10::intrusive_ptr<StageList>& stages) {
  TORCH_CHECK(progress.scalar_type() == at::kLong && progress.numel() == 2,
              "decode_stages: progress is ", progress.scalar_type(), " ", progress.sizes(),
              ", expected Long [2]");
  return Interpreter(*stages, operands.vec(), caches.vec(), progress.mutable_data_ptr<int64_t>())
      .run();
}

TORCH_LIBRARY_FRAGMENT(samebits, m) {
  register_stage_list_class();
  // persistent/stages.h. `progress` int64 [2] counts steps and stages. `exchanges`: of the card's
  // kernel, 0 to begin with, written by nobody else; on a CPU empty.
  m.def(
      "decode_stages(Tensor[] operands, Tensor(a!)[] caches, Tensor(b!) progress, Tensor(c!) "
      "exchanges, __torch__.torch.classes.samebits.StageList stages) -> Tensor[]");
  register_traits("samebits::decode_stages", {.is_replayable = true});
}

TORCH_LIBRARY_IMPL(samebits, CPU, m) { m.impl("decode_stages", decode_stages); }

}  // namespace
}  // namespace samebits
