#pragma once

#include <torch/custom_class.h>

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "harness/kernels/decode_tiles.h"

namespace samebits {

// What a decode step computes, as stages: what stands between two exchanges of activations among
// the processors that run it. A stage does what the operators in its comment do, in their order and
// with their roundings; `T` tokens, one of each sequence.
//
// Numbers name values: those of the graph that the stages were lowered from (lower.h). kNoValue
// stands for one that is not there.
constexpr int kNoValue = -1;

// samebits::embedding, of a table that begins with id 0.
struct EmbedStage {
  int ids;
  int weight;
  int out;  // [1, T, hidden]
};

// A stage's share of the processors (kernels/decode_tiles.h).
struct Tiling {
  int tiles = 0;
  LayerTiles layer{};      // that the stage's product is one of
  int product = 0;         // which
  bool takes_all = false;  // processors, those of attention too
};

struct Projection {
  int weight;  // [N, hidden], N a multiple of kTileRows
  int out;     // [1, T, N]
};

// samebits::rms_norm, then samebits::linear of one chain for each projection. With `rows`, aten::
// index_select takes those rows of the norm first. With `product`, samebits::silu_mul of the two
// projections, and a tile is one of each of them.
struct ColumnsStage {
  int x;
  int norm;  // the norm's weight
  double eps;
  int normed;
  int rows = kNoValue;
  int taken = kNoValue;  // normed, those rows
  std::vector<Projection> projections = {};
  int product = kNoValue;
  Tiling tiling = {};
};

// samebits::rms_norm and samebits::rope of queries and of keys, samebits::write_kv,
// samebits::paged_attention.
struct AttentionStage {
  struct Heads {
    int x;     // [1, T, heads * head_dim]
    int norm;  // the norm's weight, [head_dim]
    double eps;
    int normed;
    int rotated;
  };
  Heads queries;
  Heads keys;
  int v;
  int cos, sin, positions;
  int k_cache, v_cache, slots;
  int block_table, cu_seqlens, seq_lens;
  double scale;
  int out;  // [1, T, heads, head_dim]
};

// samebits::linear in slices of k, joined by the tree in float32; the sum rounded to the model's
// dtype; samebits::residual_add.
struct RowsStage {
  int x;
  int weight;
  int64_t slice;
  int rounded;
  int residual;
  int sum;
  Tiling tiling = {};
};

// samebits::sample without filters.
struct SampleStage {
  int x;     // logits, [1, T, N]
  int keys;  // [T, 2]
  int64_t vocab;
  int64_t seed;
  double temperature;
  int token;  // [T]
  int logprob;
};

using Stage = std::variant<EmbedStage, ColumnsStage, AttentionStage, RowsStage, SampleStage>;

// Stages in the order in which they run, and what samebits::decode_stages takes and gives.
struct StageList final : torch::CustomClassHolder {
  std::vector<Stage> stages;
  std::vector<int> operands;  // values from outside, in the order of the operator's argument
  std::vector<int> caches;    // likewise, those that are written
  std::vector<int> results;   // values that are returned
  DecodeWidths widths{};      // the largest of any stage
};

// One line for each stage.
std::vector<std::string> lines_of(const StageList& list);

// Before a stage list is put into an IValue or named in a schema.
void register_stage_list_class();

}  // namespace samebits
