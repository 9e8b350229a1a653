#include "harness/capture/persistent/stages.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace samebits {
namespace {

std::string text_of(const Tiling& tiling) {
  return fmt::format("{} tiles{}", tiling.tiles, tiling.takes_all ? " over all processors" : "");
}

struct Describe {
  std::string operator()(const EmbedStage& stage) const {
    return fmt::format("embed: {} = rows {} of {}", stage.out, stage.ids, stage.weight);
  }
  std::string operator()(const ColumnsStage& stage) const {
    std::vector<std::string> products;
    for (const Projection& projection : stage.projections) {
      products.push_back(
          fmt::format("{} = {} x {}", projection.out, stage.normed, projection.weight));
    }
    std::string text =
        fmt::format("columns: {} = norm of {} by {}, ", stage.normed, stage.x, stage.norm);
    if (stage.rows != kNoValue) text += fmt::format("rows {} of it, ", stage.rows);
    text += fmt::to_string(fmt::join(products, ", "));
    if (stage.product != kNoValue) text += fmt::format(", {} = silu_mul", stage.product);
    return text + "; " + text_of(stage.tiling);
  }
  std::string operator()(const AttentionStage& stage) const {
    return fmt::format("attention: {} of queries {}, keys {}, values {}, caches {} and {}",
                       stage.out, stage.queries.x, stage.keys.x, stage.v, stage.k_cache,
                       stage.v_cache);
  }
  std::string operator()(const RowsStage& stage) const {
    return fmt::format("rows: {} = {} + {} x {} in slices of {}; {}", stage.sum, stage.residual,
                       stage.x, stage.weight, stage.slice, text_of(stage.tiling));
  }
  std::string operator()(const SampleStage& stage) const {
    return fmt::format("sample: {} and {} = drawn from {} by keys {}, temperature {}", stage.token,
                       stage.logprob, stage.x, stage.keys, stage.temperature);
  }
};

}  // namespace

std::vector<std::string> lines_of(const StageList& list) {
  std::vector<std::string> lines;
  for (const Stage& stage : list.stages) lines.push_back(std::visit(Describe{}, stage));
  return lines;
}

void register_stage_list_class() {
  static const auto registration = torch::class_<StageList>("samebits", "StageList");
  (void)registration;
}

}  // namespace samebits
