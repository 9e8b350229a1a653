#pragma once

// `starts` of step_gradient.h on the card, which alone knows where sequences begin.

#include "harness/kernels/cuda/rows/launchers.h"
#include "harness/kernels/cuda/runtime/device.cuh"

namespace samebits::cuda {

struct TokenRange {
  int64_t first;
  int64_t end;
};

// Of sequence s; none, and a fault, where `starts` falls or passes the tokens.
__device__ inline TokenRange tokens_of(const Sequences& call, int64_t s, Fault* fault) {
  if (call.starts == nullptr) return {0, call.tokens};
  const int64_t first = call.starts[s];
  const int64_t end = call.starts[s + 1];
  if (first >= 0 && first <= end && end <= call.tokens) return {first, end};
  raise(fault, FaultKind::kStarts, s, end, call.tokens);
  return {0, 0};
}

}  // namespace samebits::cuda
