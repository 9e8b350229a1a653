#pragma once

#include "repro/catalogue/catalogue.h"

namespace samebits {

// pytorch#168940 and its kin: a rule takes an operator for linear, and combines what it gives for
// the shards. Each subject is one operator over two ranks.

// The index of the largest of 10, 5, 3, 8 in each of s rows, sharded within the rows.
Subject argmax_of_rows(Side side);

// The mean of 0, 1, 2, ... as [s, 4], sharded by rows.
Subject mean_of_all(Side side);

// The sum of the first s numbers, from 0, plus 10: the sum is still pending.
Subject sum_plus_ten(Side side);

Repro max_dim_indices_of_shard();

}  // namespace samebits
