#pragma once

#include "harness/kernels/cpu/gemm_kernels.h"
#include "harness/kernels/cpu/math.h"

// What depends on the 16 values of an operand as a whole. `smallest` and `largest`: their biased
// exponents (1 for a denormal), zeros left out; 255 and 0 where all are zero.

namespace samebits {

SAMEBITS_MATH void set_window(Sm90Operand* operand, int32_t smallest, int32_t largest,
                              bool has_zero) {
  constexpr int32_t kReferenceBias = 383;  // 127 taken from x's exponents, 256 from b's
  // A zero or denormal b would be taken for one with biased exponent 0: it cannot be the reference
  // while that lies above largest + 1. A b that is not finite has 255 and cannot hide below
  // 255 + smallest. Within 2^-100 .. 2^100 nothing under- or overflows on the way.
  const int32_t lowest = largest + 2 > 154 ? largest + 2 : 154;
  const int32_t highest = 254 + smallest < 354 ? 254 + smallest : 354;
  operand->lowest = (lowest - kReferenceBias) * (1 << 23);
  operand->beyond = (highest + 1 - kReferenceBias) * (1 << 23);
  operand->flags = (has_zero ? kHasZero : 0u) | (largest == 0 ? kAllZero : 0u) |
                   (largest == 255 ? kNotFinite : 0u);
}

}  // namespace samebits
