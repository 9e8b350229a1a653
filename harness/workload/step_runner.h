#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/capture/captured_program.h"
#include "harness/core/case.h"
#include "harness/model/kv_cache.h"
#include "harness/model/qwen3.h"

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

// Runs engine steps in an arm's mode: the model's own code, or the graph that was captured of it.
// Token count, sequence count, block-table width and wanted rows are symbolic, so one graph serves
// every step.
class StepRunner {
 public:
  // Borrows both; they must outlive the runner.
  StepRunner(const Qwen3& model, const KvCache& cache, Execution execution, GuardPolicy guards);

  StepOutputs run(const StepInputs& inputs, const Selection& selection);

  // Counters, cumulative: eager_calls (times that the model's code computed), and of a captured arm
  // nodes, runs, traces, guards checked and guards found false.
  std::vector<std::pair<std::string, int64_t>> witness() const;

  // The graphs that ran, for a person. Empty for an eager arm.
  std::vector<std::string> printed_graphs() const;

 private:
  struct Captured {
    Selection selection;
    CapturedProgram program;
  };
  Program program(const Selection& selection) const;

  const Qwen3& model_;
  const KvCache& cache_;
  Execution execution_;
  GuardPolicy guards_;
  std::vector<std::unique_ptr<Captured>> captured_;
  int64_t eager_calls_ = 0;
};

}  // namespace samebits
