#pragma once

#include "repro/catalogue/catalogue.h"

namespace samebits {

// Found by samebits, in torch's rule for logsumexp: the placement of the result is that of
// keepdim=False, whatever was asked.

// x - logsumexp(x, 0, keepdim=True) for x = 0, 100, 200, ... as [s, 4], sharded by columns over two
// ranks. The numbers are so far apart that a column's logsumexp is exactly its largest.
Subject minus_logsumexp(Side side);

Repro dtensor_logsumexp_keepdim();

}  // namespace samebits
