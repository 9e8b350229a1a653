#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "harness/capture/passes/digest_marks.h"

namespace samebits {

// What a run saw of the values that its graph marks. Nobody has read the sums yet, so on a card
// they may still be under way.
struct ReplayDigests {
  std::shared_ptr<const std::vector<passes::Mark>> marks;
  std::vector<int64_t> symbols;  // of the graph by id, without padding
  // int64 [digests of all marks, 2], the caller's own (digest_rows.h).
  at::Tensor sums;
};

}  // namespace samebits
