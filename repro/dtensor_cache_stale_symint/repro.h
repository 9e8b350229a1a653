#pragma once

#include "repro/catalogue/catalogue.h"

namespace samebits {

// pytorch#183021: what propagation gave for a call is kept, and found again by the text of the
// call's arguments. A size that is a symbol of one trace is given to the next, which has a symbol
// of the same name.
//
// A gradient, one number, is expanded to the rows of x, [s, 8] in shards, and multiplied with it;
// the rows are then viewed in halves, which asks whether they divide by the ranks: at other sizes
// the program is traced again.
Subject expanded_gradient(Side side);

Repro dtensor_cache_stale_symint();

}  // namespace samebits
