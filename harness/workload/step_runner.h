#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "harness/execution/program.h"
#include "harness/graph/replay_graph.h"
#include "harness/model/decoder.h"
#include "harness/model/kv_cache.h"
#include "harness/workload/observer.h"

namespace samebits {

// The tensors of one engine step: T tokens of S sequences, R of them wanted. Plain, on the CPU.
struct StepInputs {
  at::Tensor ids;          // int64 [1, T]
  at::Tensor positions;    // int64 [1, T]
  at::Tensor slots;        // int64 [T]
  at::Tensor block_table;  // int32 [S, B]
  at::Tensor cu_seqlens;   // int32 [S + 1]
  at::Tensor seq_lens;     // int32 [S]
  at::Tensor rows;         // int64 [R], into T
  at::Tensor keys;         // int64 [R, 2] (sequence, position) to sample; [R, 1] targets to score
};

struct StepOutputs {
  at::Tensor tokens;    // int64 [R]: sampled, or the targets
  at::Tensor logprobs;  // float32 [R]
};

// How a step's tokens are chosen. Values, so a captured graph may hold them.
struct Selection {
  bool forced = false;
  int64_t seed = 0;
  double temperature = 1.0;
  int64_t top_k = 0;
  double top_p = 1.0;
  bool has_processed_logprobs = false;  // of logits divided by the temperature

  bool operator==(const Selection&) const = default;
};

// Runs engine steps, in an arm's mode. Token count, sequence count, block-table width and wanted
// rows are symbolic, so one graph serves every step. Where a mode replays whole graphs, a step of
// one token a sequence is such a replay, or every step; where it replays pieces, any other step is
// one, too. The rest runs from the graph node by node.
class StepRunner : public ProgramRecord {
 public:
  // Borrows both; they must outlive the runner. `max_tokens`: of one step.
  StepRunner(const Decoder& model, const KvCache& cache, const Mode& mode, int64_t max_tokens);

  // `observer` (null: none) is told of a replay's marks; of all others the operators themselves
  // tell who listens. One that sees operators is told of tokens and logprobs, too.
  StepOutputs run(const StepInputs& inputs, const Selection& selection,
                  Observer* observer = nullptr);

  const std::string& name() const override { return name_; }  // "generator"
  const Mode& mode() const override { return mode_; }
  Witness witness() const override;
  std::vector<GuardRecord> guards() const override;
  std::vector<std::string> saved_graphs() const override;  // generator_graph.h

  // Memory that replays took for themselves; 0 without.
  size_t pool_bytes() const { return pool_ ? pool_->bytes_used() : 0; }

 private:
  Program program(const Selection& selection) const;
  std::vector<ReplayForm> replay_forms(const Selection& selection) const;
  ExecutedProgram& executed_for(const Selection& selection);

  std::string name_ = "generator";
  const Decoder& model_;
  const KvCache& cache_;
  Mode mode_;
  int64_t max_tokens_;
  std::shared_ptr<ReplayPool> pool_;  // of all graphs; null without replays
  // A selection's values are constants of its graphs.
  std::vector<std::pair<Selection, std::unique_ptr<ExecutedProgram>>> programs_;
};

}  // namespace samebits
