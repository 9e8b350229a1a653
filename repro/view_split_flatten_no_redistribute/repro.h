#pragma once

#include <vector>

#include "repro/catalogue/catalogue.h"

namespace samebits {

// pytorch#179502: a view that flattens dimensions and splits the result elsewhere is taken for a
// plain split, and rows that lie interleaved over the ranks are called Shard(0).

// The view from [in..., s] to [out..., s] of 0, 1, 2, ..., sharded over `ranks` along the second
// dimension; s is the size,.
Subject viewed(Side side, int64_t ranks, std::vector<int64_t> in, std::vector<int64_t> out);

Repro view_split_flatten_no_redistribute();

}  // namespace samebits
