#pragma once

#include "harness/model/qwen3.h"

namespace samebits {

// Gives a generator the trained weights: every parameter of `from`, copied into that of `to`, which
// keeps its address, since graphs hold it by that. Both are of one configuration and one mesh. On a
// card they are copied together, in few launches on the current stream, and not waited for.
void sync_weights(const Qwen3& from, Qwen3& to);

}  // namespace samebits
