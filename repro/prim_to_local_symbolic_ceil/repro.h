#pragma once

#include "harness/mesh/mesh_settings.h"
#include "repro/catalogue/catalogue.h"

namespace samebits {

// pytorch#175690: Shard -> Replicate gives n * ceil(s / n) rows instead of s, once a trace has seen
// a size that divides. Who multiplies the gathered rows with a weight sees it.
struct GatheredLinear {
  int64_t ranks = 2;
  int64_t hint = 6;  // the size of the trace
  GatheredSize gathered_size = GatheredSize::kNarrow;
  // Where the DTensor is converted to a plain tensor, and so which size the module can see.
  enum class Converted {
    kInForward,  // by the module itself, which has asked the DTensor for s before
    kByHooks     // around it (PrepareModuleInputOutput): the module sees the plain tensor alone
  } converted = Converted::kInForward;
  bool consumer_narrows = false;  // to the size that the module can see
};
Subject gathered_linear(const GatheredLinear& form);

// The two sides of the rule, converted in forward.
Subject gathered_linear(Side side, int64_t ranks, int64_t hint);

Repro prim_to_local_symbolic_ceil();

}  // namespace samebits
