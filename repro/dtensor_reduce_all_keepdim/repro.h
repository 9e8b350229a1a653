#pragma once

#include "repro/catalogue/catalogue.h"

namespace samebits {

// Found by samebits, in torch's rules for reductions: an empty list of dimensions, which means all,
// is taken for none. Each subject is of 1, 2, ... as [s, 2], sharded by rows over two ranks.

// The largest of all, as [1, 1].
Subject largest_kept(Side side);

// The sum of all, as [1, 1].
Subject sum_kept(Side side);

// The gradient of the largest of all, by the formula of autograd: one, shared by all that are as
// large.
Subject gradient_of_largest(Side side);

Repro dtensor_reduce_all_keepdim();

}  // namespace samebits
