#pragma once

#include <cstdint>
#include <limits>

#include "harness/bits/dtype.h"

namespace samebits {

// The distance of a NaN from everything but itself; larger than any distance between numbers.
inline constexpr uint64_t kUlpNan = std::numeric_limits<uint64_t>::max();

// How many representable values apart two values of a floating-point dtype are, from their raw
// bits (zero-extended). Decided:
//   +0 and -0        0 apart: they are one number. `bit_exact` tells them apart.
//   infinities       one ULP beyond the largest finite value of their sign.
//   NaNs             equal bits are 0 apart; any other pair with a NaN is kUlpNan.
//   denormals        values like any other; nothing is flushed.
// Throws std::invalid_argument for a dtype that is not floating point.
uint64_t ulp_distance(Dtype dtype, uint64_t a_bits, uint64_t b_bits);

// True if all bits of `count` elements are equal: signed zeros and NaN payloads count.
bool bit_exact(Dtype dtype, const void* a, const void* b, int64_t count);

}  // namespace samebits
