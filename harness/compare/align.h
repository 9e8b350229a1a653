#pragma once

#include <functional>
#include <vector>

#include "harness/compare/divergence.h"

namespace samebits {

// Calls `found` with each pair that align() gives, in the same order. Of steps that ascend on both
// sides, no more than a step is held at a time.
void for_each_aligned(const std::vector<Observation>& a, const std::vector<Observation>& b,
                      const std::function<void(const AlignedPair&)>& found);

}  // namespace samebits
