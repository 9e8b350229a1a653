#pragma once

#include "repro/catalogue/catalogue.h"

namespace samebits {

// pytorch#194457: two nested all-gathers are replaced by a flat one, whose chunks are others where
// the size is uneven.

// [s, 3], numbered from 1, on four ranks, laid over them as a 2 x 2 mesh, [Shard(0), Shard(0)],
// and gathered.
Subject over_two_by_two(Side side);

Repro flattened_allgather_uneven();

}  // namespace samebits
