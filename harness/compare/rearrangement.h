#pragma once

#include <string>

#include "harness/bits/safetensors.h"

namespace samebits {

// How the second of two tensors of the same dtype and shape holds the elements of the first in other
// places, as after shards that were swapped, rows that were shifted, or a transposition:
// "dim 2: 0 to 63 are the first's 64 to 127, 64 to 127 its 0 to 63", "dims 0 and 1 are transposed".
// "" where it holds others, or the same in their places, and of more than 2^24 elements, which
// nobody looks through. Throws std::invalid_argument where dtype or shape differ.
std::string rearrangement_text(const TensorView& a, const TensorView& b);

}  // namespace samebits
