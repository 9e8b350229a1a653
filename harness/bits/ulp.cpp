#include "harness/bits/ulp.h"

#include <cstring>
#include <stdexcept>
#include <string>

namespace samebits {
namespace {

// A sign-magnitude floating-point format: `kInfinity` is the magnitude of infinity, and every
// larger magnitude is a NaN. Magnitudes of numbers count up in steps of one ULP.
template <typename Bits, Bits kInfinity>
struct Format {
  static constexpr Bits kSign = Bits{1} << (8 * sizeof(Bits) - 1);

  static uint64_t distance(Bits a, Bits b) {
    if (a == b) return 0;
    const uint64_t a_magnitude = a & ~kSign;
    const uint64_t b_magnitude = b & ~kSign;
    if (a_magnitude > kInfinity || b_magnitude > kInfinity) return kUlpNan;
    if ((a ^ b) & kSign) return a_magnitude + b_magnitude;
    return a_magnitude > b_magnitude ? a_magnitude - b_magnitude : b_magnitude - a_magnitude;
  }
};

// Calls `visit` with the format of `dtype`.
template <typename Visit>
auto with_format(Dtype dtype, Visit&& visit) {
  switch (dtype) {
    case Dtype::bfloat16:
      return visit(Format<uint16_t, 0x7f80>{});
    case Dtype::float16:
      return visit(Format<uint16_t, 0x7c00>{});
    case Dtype::float32:
      return visit(Format<uint32_t, 0x7f800000>{});
    case Dtype::float64:
      return visit(Format<uint64_t, 0x7ff0000000000000>{});
    default:
      throw std::invalid_argument("ulp: " + std::string(dtype_name(dtype)) +
                                  " is not a floating-point dtype");
  }
}

}  // namespace

uint64_t ulp_distance(Dtype dtype, uint64_t a_bits, uint64_t b_bits) {
  return with_format(dtype, [&](auto format) { return format.distance(a_bits, b_bits); });
}

bool bit_exact(Dtype dtype, const void* a, const void* b, int64_t count) {
  return count == 0 || std::memcmp(a, b, count * dtype_size(dtype)) == 0;
}

}  // namespace samebits
