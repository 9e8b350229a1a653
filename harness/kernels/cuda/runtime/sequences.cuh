#pragma once

// `starts` of step_gradient.h on the card, which alone knows where sequences begin.

#include "harness/kernels/cuda/rows/launchers.h"
#include "harness/kernels/cuda/runtime/device.cuh"

namespace samebits::cuda {

struct TokenRange {
  int64_t first;
  int64_t end;
};

// Of sequence s of all groups; none, and a fault, where `starts` falls or passes the tokens, or
// where its group does not begin where the one before ends. All sequences together may then still
// have more than there are: callers bound what they read and write.
__device__ inline TokenRange tokens_of(const Sequences& call, int64_t s, Fault* fault) {
  if (call.starts == nullptr) return {0, call.tokens};
  const int64_t group = call.groups == 1 ? 0 : s / call.count;
  const int64_t at = s + group;  // a group has one start more
  const int64_t first = call.starts[at];
  const int64_t end = call.starts[at + 1];
  const int64_t edge = group * (call.count + 1);  // the group's first
  const bool goes_on = group == 0 || call.starts[edge] == call.starts[edge - 1];
  if (goes_on && first >= 0 && first <= end && end <= call.tokens) return {first, end};
  raise(fault, FaultKind::kStarts, s, end, call.tokens);
  return {0, 0};
}

// The tree over groups, of values that come in their order.
class GroupTree {
 public:
  __device__ void add(float sum, int64_t group) {
    for (; group & 1; group /= 2) sum = waiting_[--depth_] + sum;
    waiting_[depth_++] = sum;
  }
  // After the last of a power of two of groups.
  __device__ float sum() const { return waiting_[0]; }

 private:
  static constexpr int kMost = 16;  // levels, more than any number of groups has
  float waiting_[kMost];
  int depth_ = 0;
};

}  // namespace samebits::cuda
