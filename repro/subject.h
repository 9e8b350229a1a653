#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/capture/tracer.h"

namespace samebits {

// One side of a repro, as something to run: a program of one symbolic size. Nothing in it says
// which side it is, so what a detector finds it has found by itself.
struct Subject {
  Program program;
  std::vector<DynamicDim> dims;                            // of one symbol
  std::function<std::vector<at::Tensor>(int64_t)> inputs;  // for a size
  int64_t hint;                                            // the size at which it is traced
  std::vector<int64_t> sizes;                              // those at which it is served
};

// What a subject did. Of one that went well, the evidence says what was tried.
struct Outcome {
  bool went_wrong = false;
  std::string
      evidence;  // "traced at 6, served at 1: mat1 and mat2 shapes cannot be multiplied ..."
};

// Runs it as a consumer that drops guards does: eagerly at the hint, traced there once, the graph
// then served at every size and compared with eager, bit for bit. Ends at the first thing that goes
// wrong, an error or other bits.
Outcome run_subject(const Subject& subject);

// Runs it from a graph of its launches (harness/graph/), on the device of its inputs, which are
// plain: captured at the hint, and replayed there after an eager call at each size. Ends at the
// first thing that goes wrong.
Outcome run_replayed(const Subject& subject);

// 1, 2, ... 2n + 1: what the detectors try for n ranks.
std::vector<int64_t> sizes_to_try(int64_t ranks);

}  // namespace samebits
