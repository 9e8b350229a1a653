#pragma once

#include "repro/catalogue/catalogue.h"

namespace samebits {

// radixark/Megatron-LM#65: a trainer repeats the order in which a generator's kernel sums its tiles
// along K, and has the tree of another number of tiles.

// The order of the generator's kernel: the number of tiles is halved while it is even and more than
// two. What is left is the length of the chains, whose sums are joined by neighbours in pairs.
ReductionTree chains_in_a_tree(int64_t tiles);

enum class TileOrder { kPairs, kChainsInATree };

// A row-parallel product [1, 64] from s tiles of bfloat16, summed in the trainer's order and added
// to a residual; its reference is the generator's.
Subject summed_tiles(TileOrder trainers);

Repro tree_sum_depends_on_count();

}  // namespace samebits
