#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/capture/guard_policy.h"
#include "harness/capture/tracer.h"
#include "harness/detect/reduction_tree.h"
#include "harness/graph/bucket_replay.h"

namespace samebits {

// How the outputs of a graph are looked after while others of its pool are captured and replayed.
enum class HeldOutputs {
  kUntilCopied,  // not at all: they are copied out before anything else replays
  kOwned,        // somebody owns them until they are read, so no later capture gets their memory
  kByAddress     // they are read later, at addresses that nobody keeps: weak references
};

// What rows of padding hold where any value is as good as another.
enum class PaddingContent {
  kZeros,   // as engines do
  kHostile  // NaN; of numbers that index something, the largest
};

// How a program is served in the sizes of a bucket, and what padding must leave alone.
struct Padding {
  // The inputs for `size` in the sizes of `bucket`, which is larger.
  std::function<std::vector<at::Tensor>(int64_t size, int64_t bucket, PaddingContent content)>
      inputs;
  // Which input has the slot that each row is written to (int64, one dimension; -1: none), and the
  // memory that is written there, [slots, ...] each.
  size_t slots;
  std::vector<at::Tensor> memory;
};

// A sum over ranks that a program leans on.
struct RankSum {
  std::string name;  // "all_reduce"
  int64_t ranks;
  // What ranks get of it: the sum of contributions of one dimension, one a rank.
  std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)> sum;
  ReductionTree declared;  // the order, at any length
};

// One side of a repro, as something to run: a program of one symbolic size, and how it is served.
// Nothing in it says which side it is, so what a detector finds it has found by itself.
struct Subject {
  Program program;
  std::vector<DynamicDim> dims;                            // of one symbol
  std::function<std::vector<at::Tensor>(int64_t)> inputs;  // for a size
  int64_t hint;                                            // the size at which it is traced
  std::vector<int64_t> sizes;                              // those at which it is served
  GuardPolicy guards = GuardPolicy::kDrop;
  // Operators that run between captured pieces (passes/split.h); none: captured whole.
  std::vector<std::string> splitting = {};
  SplitResults results = SplitResults::kCopied;  // of those
  // Where graphs of several sizes are captured in one pool.
  HeldOutputs outputs = HeldOutputs::kUntilCopied;
  // The dimension of the first output whose row i depends on nothing of the inputs that comes with
  // larger sizes alone, as of a causal model's logits; -1: there is none.
  int64_t rows_dim = -1;
  // Where it is also served padded; it has a rows_dim then.
  std::optional<Padding> padding = {};
  std::vector<RankSum> rank_sums = {};
  // The same model as another party runs it, which must have the same bits: the generator's beside
  // the trainer's, eager beside compiled. Empty: there is none.
  Program reference = {};
  // The gradients that a training step makes of the inputs of the hint's size, where it has one.
  Program gradients = {};
};

// What a subject did. Of one that went well, the evidence says what was tried.
struct Outcome {
  bool went_wrong = false;
  std::string
      evidence;  // "traced at 6, served at 1: mat1 and mat2 shapes cannot be multiplied ..."
};

// Runs it from a trace: eagerly at the hint, traced there, then served at every size (by that
// graph, or where guards are kept by one that they hold for) and compared with eager, bit for bit.
// Ends at the first thing that goes wrong, an error or other bits.
Outcome run_subject(const Subject& subject);

// The same after equal calls of the graph were merged (passes/common_subexpressions.h), which
// trusts what schemas say of memory.
Outcome run_with_equal_calls_merged(const Subject& subject);

// Replays a subject for inputs of the hint's size, and copies the outputs.
using ReplayAtHint = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>& inputs)>;

// Captures its launches at the hint (harness/graph/), whole or in pieces, on the device of its
// inputs, which are plain, after a call that warms up. Throws c10::Error for what may not be
// captured; a replay throws RunError for what it finds.
ReplayAtHint captured_at_hint(const Subject& subject);

// Runs it from a graph of its launches: captured at the hint, and replayed after an eager call at
// each size, for that call's inputs where they have the sizes of the hint's, else for the hint's.
// Ends at the first thing that goes wrong.
Outcome run_replayed(const Subject& subject);

// Runs it eagerly at each size padded to each larger one, with hostile content, and compares the
// rows that are none of padding with those of no padding, bit for bit.
Outcome run_padded(const Subject& subject);

// Runs it and its reference eagerly at each size and compares the outputs, bit for bit.
Outcome run_with_reference(const Subject& subject);

// Runs it eagerly at each size and compares the rows with the first ones of the largest size, bit
// for bit.
Outcome run_rows(const Subject& subject);

// 1, 2, ... 2n + 1: what the detectors try for n ranks.
std::vector<int64_t> sizes_to_try(int64_t ranks);

}  // namespace samebits
