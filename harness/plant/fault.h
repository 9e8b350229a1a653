#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "harness/base/names.h"

namespace samebits {

// A fault that an arm plants into itself, to see whether it is found: what one execution of an
// operator leaves is changed behind its back. Plain values, so that the same fault can be planted
// again, alone.
enum class FaultKind {
  kNone,
  kFlip,   // one bit of one element of a result is the other one
  kStale,  // a result is what the call before it left: a buffer that was not written again
  kSkip,   // what the call was to write stays as it was: a copy, an update left out
  kOrder,  // the sums of a linear, or of its gradients, run from their last term to their first
  kSwap,   // two ranks of a local mesh have each other's results
  kMask,   // attention without its mask: every query sees all keys of its sequence
  kGuard,  // a guard of a graph passes where it is false, and the graph runs
};

inline const Names<FaultKind>& names_of(FaultKind) {
  static const Names<FaultKind> names = {
      {"none", FaultKind::kNone}, {"flip", FaultKind::kFlip},   {"stale", FaultKind::kStale},
      {"skip", FaultKind::kSkip}, {"order", FaultKind::kOrder}, {"swap", FaultKind::kSwap},
      {"mask", FaultKind::kMask}, {"guard", FaultKind::kGuard}};
  return names;
}

// Autograd adds gradients in place where nobody else holds them, and otherwise not: what one run
// does in the one way another may do in the other, so that they count as one operator.
inline std::string counted_name(const std::string& op) {
  return op == "aten::add_" ? "aten::add" : op;
}

struct Fault {
  FaultKind kind = FaultKind::kNone;
  // "samebits::rms_norm"; aten::add_ counts as aten::add. kGuard: its condition, "tokens % 2 == 0".
  std::string op;
  int64_t step = 0;   // of the run
  std::string phase;  // of the step: "train"
  // Which of the rank's executions of that operator in that phase, from 0. kGuard: of the times
  // that it is false.
  int64_t call = 0;
  int64_t output = 0;   // which of its results, then of the arguments that it writes
  int64_t element = 0;  // kFlip: of that result, in the order of memory
  int64_t bit = 0;      // kFlip: of that element; 0 is one ULP
  int64_t rank = 0;     // of the mesh: whose execution it is; 0 of what lies over no mesh

  bool is_planted() const { return kind != FaultKind::kNone; }
  bool operator==(const Fault&) const = default;
};

// What was seen of a fault as it was executed. A step without one did not execute it.
struct FaultWitness {
  // The operator that the program called, of which this one is a part: in a persistent decode that
  // of its graph. kGuard: the guard, with who asked, and the sizes at which it is false.
  std::string caller;
  // Which of the program's calls of it in that phase, from 0; none of what is replayed.
  std::optional<int64_t> caller_call = {};
  int64_t rank = 0;     // of the mesh: whose execution it was
  int64_t changed = 0;  // elements of the result whose bits are others than before
  // The first of these, and its raw bits; of no change the element that was meant.
  int64_t element = 0;
  uint64_t before = 0;
  uint64_t after = 0;

  bool operator==(const FaultWitness&) const = default;
};

}  // namespace samebits
