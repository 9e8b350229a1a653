#pragma once

#include "repro/catalogue/catalogue.h"

namespace samebits {

// Found by samebits, in torch's rule for operators that have none: the gradient of a mean loss is
// divided by the number of elements of a rank.

// The mean square of 1, 2, ..., s, sharded over `ranks`, and its gradient.
Subject mean_square_and_gradient(Side side, int64_t ranks);

Repro dtensor_loss_gradient_times_ranks();

}  // namespace samebits
