#pragma once

#include "repro/catalogue.h"

namespace samebits {

// pytorch#175690: Shard -> Replicate gives n * ceil(s / n) rows instead of s, once a trace has seen
// a size that divides. `ranks` is n, `hint` the size of the trace.
Subject gathered_linear(Side side, int64_t ranks, int64_t hint);

Repro prim_to_local_symbolic_ceil();

}  // namespace samebits
