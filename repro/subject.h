#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/capture/tracer.h"
#include "harness/core/case.h"
#include "harness/graph/bucket_replay.h"

namespace samebits {

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
  // The dimension of the first output whose row i depends on nothing of the inputs that comes with
  // larger sizes alone, as of a causal model's logits; -1: there is none.
  int64_t rows_dim = -1;
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

// Replays a subject for inputs of the hint's size, and copies the outputs.
using ReplayAtHint = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>& inputs)>;

// Captures its launches at the hint (harness/graph/), whole or in pieces, on the device of its
// inputs, which are plain. Throws c10::Error for what may not be captured; a replay throws RunError
// for what it finds.
ReplayAtHint captured_at_hint(const Subject& subject);

// Runs it from a graph of its launches: captured at the hint, and replayed there after an eager
// call at each size. Ends at the first thing that goes wrong.
Outcome run_replayed(const Subject& subject);

// 1, 2, ... 2n + 1: what the detectors try for n ranks.
std::vector<int64_t> sizes_to_try(int64_t ranks);

}  // namespace samebits
