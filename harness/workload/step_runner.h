#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/capture/captured_program.h"
#include "harness/case/case.h"
#include "harness/graph/replayer.h"
#include "harness/model/kv_cache.h"
#include "harness/model/qwen3.h"
#include "harness/workload/held_parameters.h"
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

  bool operator==(const Selection&) const = default;
};

// How an arm's generator runs.
struct GeneratorMode {
  Execution execution = Execution::kEager;
  GuardPolicy guards = GuardPolicy::kKeep;
  std::vector<GraphPass> passes;  // not of an eager one
  std::filesystem::path graph;    // not of an eager one: run from this file; or ""
  std::vector<int64_t> buckets;   // of a replayed one; none: Buckets::up_to(tokens of a step)
};

// Runs engine steps in an arm's mode: the model's own code, or the graph that was captured of it.
// Token count, sequence count, block-table width and wanted rows are symbolic, so one graph serves
// every step. Under full_graph, a step of one token a sequence is a replay of the graph's launches
// (graph/), padded to a bucket; any other step runs captured. Under persistent likewise, of the
// graph lowered to stages (capture/persistent/), which a card runs as one kernel. Under piecewise,
// every step is one, in pieces between its attentions, which run eagerly.
class StepRunner {
 public:
  // Borrows both; they must outlive the runner. `max_tokens`: of one step.
  StepRunner(const Qwen3& model, const KvCache& cache, const GeneratorMode& mode,
             int64_t max_tokens);

  // `observer` (null: none) is told of a replay's marks; of all others the operators themselves
  // tell who listens.
  StepOutputs run(const StepInputs& inputs, const Selection& selection,
                  Observer* observer = nullptr);

  // Counters, cumulative: eager_calls (times that the model's code computed), and of a captured arm
  // traces, runs, nodes, guards checked and guards found false; of a replayed one also captures and
  // replays of graphs, launches, operators between pieces, and what replays should not do:
  // dispatcher calls and allocations; of a persistent one steps and stages, as whoever ran them
  // counted.
  std::vector<std::pair<std::string, int64_t>> witness() const;

  // Memory that replays took for themselves; 0 without.
  size_t pool_bytes() const { return pool_ ? pool_->bytes_used() : 0; }

  // Their guards.
  std::vector<GuardRecord> guards() const;
  // As files that an arm can run from (generator_graph.h).
  std::vector<std::string> saved_graphs() const;

 private:
  struct Captured {
    Selection selection;
    CapturedProgram program;
    std::optional<Replayer> replayer;  // of the program's graphs
  };
  Program program(const Selection& selection) const;
  std::vector<at::Tensor> run_eager(const std::vector<at::Tensor>& list,
                                    const Selection& selection);
  CapturedProgram make_captured(const Selection& selection) const;
  Replayer make_replayer(CapturedProgram& program, const Selection& selection);
  Captured& captured_for(const Selection& selection);
  std::vector<at::Tensor> run_captured(const StepInputs& inputs, const Selection& selection,
                                       Observer* observer);
  std::vector<at::Tensor> replay(Replayer& replayer, const StepInputs& inputs, Observer* observer);

  const Qwen3& model_;
  const KvCache& cache_;
  GeneratorMode mode_;
  int64_t max_tokens_;
  std::vector<std::unique_ptr<Captured>> captured_;
  std::shared_ptr<ReplayPool> pool_;  // of all graphs; null without replays
  at::Tensor progress_;  // of persistent steps (capture/persistent/lower.h); else undefined
  HeldParameters parameters_;
  int64_t eager_calls_ = 0;
};

}  // namespace samebits
