#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "harness/capture/tracer.h"
#include "harness/execution/program.h"
#include "harness/graph/buckets.h"
#include "harness/graph/replay_graph.h"
#include "harness/workload/settings.h"

namespace samebits {

// The inputs of the trainer's joint program: sequences that were packed one after the other, and
// how they are padded where it is replayed.

// The tensors of S sequences of T tokens together, R of them generated. Their numbers are sizes,
// never values.
struct PackedSequences {
  at::Tensor ids;         // int64 [1, T]
  at::Tensor positions;   // int64 [1, T]
  at::Tensor cu_seqlens;  // int32 [S + 1]
  at::Tensor rows;        // int64 [R]: the tokens whose next token was generated
  at::Tensor targets;     // int64 [1, R]
  at::Tensor cu_rows;     // int32 [S + 1]: where sequences begin among them
};

struct TokenSequence {
  const std::vector<int64_t>& tokens;
  int64_t first;  // that was generated
};

PackedSequences pack(const std::vector<TokenSequence>& sequences);

// Boundaries of sequences that follow each other, [S + 1], as rows of their groups, which have so
// many each: int32 [G, width]. Shorter groups end with empty sequences.
at::Tensor by_groups(const at::Tensor& boundaries, const std::vector<int64_t>& sequences,
                     int64_t width);

// The order of the joint program's inputs: those of PackedSequences come first.
enum MicroBatchInput : size_t {
  kIds,
  kPositions,
  kCuSeqlens,
  kRows,
  kTargets,
  kCuRows,
  kReference,
  kAdvantage,
  kTokensOfStep,
  kStarts,
  kRowStarts,
  kInitialLogprobs  // the last, where there is one
};

// `sequences` and the boundaries are related by pack(), not by the graph.
std::vector<DynamicDim> micro_batch_dims(const LossSettings& loss);

// Token counts that a replaying trainer's micro-batches are padded to, and the generated tokens
// among them, where its mode names none: of at most so many tokens, and one that may be padding.
Buckets trainer_buckets(int64_t max_tokens);

// What replays of micro-batches are made for.
struct MicroBatchSizes {
  int64_t groups;    // of the gradient, all of which one may have
  int64_t of_group;  // sequences, at most
  int64_t tokens;    // at most
};

// A micro-batch as one replayed graph, padded to buckets of tokens and of generated ones, and to
// the sequences that its groups may have. Padding: tokens of no sequence, the first of which is
// that of all generated ones that are padding, and is there where there are any; empty sequences.
ReplayForm micro_batch_form(const LossSettings& loss, const MicroBatchSizes& most, const Mode& mode,
                            std::shared_ptr<ReplayPool> pool);

}  // namespace samebits
