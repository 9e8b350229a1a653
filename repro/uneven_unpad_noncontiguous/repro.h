#pragma once

#include "repro/catalogue/catalogue.h"

namespace samebits {

// pytorch#173041: what is cut from a padded gather keeps the strides of the padding. A tensor
// [4, s, 10], sharded over `ranks` along s, is gathered, and its local viewed as [4 s, 10].
Subject gathered_and_viewed(Side side, int64_t ranks);

Repro uneven_unpad_noncontiguous();

}  // namespace samebits
