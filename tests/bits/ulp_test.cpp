#include "harness/bits/ulp.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <vector>

namespace samebits {
namespace {

struct HalfFormat {
  Dtype dtype;
  int mantissa_bits;
  int bias;
  uint16_t infinity;
};
constexpr HalfFormat kHalves[] = {{Dtype::bfloat16, 7, 127, 0x7f80},
                                  {Dtype::float16, 10, 15, 0x7c00}};

// The number that the bits stand for, from the format's definition; infinity has the value that the
// next exponent would give, one step beyond the largest finite number.
double value_of(const HalfFormat& format, uint16_t bits) {
  const int magnitude = bits & 0x7fff;
  const int exponent = magnitude >> format.mantissa_bits;
  const int mantissa = magnitude & ((1 << format.mantissa_bits) - 1);
  const double value = exponent == 0 ? std::ldexp(mantissa, 1 - format.bias - format.mantissa_bits)
                                     : std::ldexp((1 << format.mantissa_bits) + mantissa,
                                                  exponent - format.bias - format.mantissa_bits);
  return bits & 0x8000 ? -value : value;
}

bool is_nan(const HalfFormat& format, uint16_t bits) { return (bits & 0x7fff) > format.infinity; }

// Every number of the format in ascending order; -0 shares +0's place. The oracle of the distance
// of two numbers is the distance of their places.
std::vector<int64_t> places_by_value(const HalfFormat& format) {
  std::vector<uint16_t> numbers;
  for (int bits = 0; bits < 65536; ++bits) {
    if (!is_nan(format, bits) && bits != 0x8000) numbers.push_back(bits);
  }
  std::sort(numbers.begin(), numbers.end(),
            [&](uint16_t a, uint16_t b) { return value_of(format, a) < value_of(format, b); });
  std::vector<int64_t> places(65536, -1);
  for (size_t i = 0; i < numbers.size(); ++i) places[numbers[i]] = i;
  places[0x8000] = places[0];
  return places;
}

// Every one of the 2^16 values against a few hundred others, and the NaN rule for all of them.
TEST(Ulp, SixteenBitDistancesAreDistancesOfPlaces) {
  for (const HalfFormat& format : kHalves) {
    const std::vector<int64_t> places = places_by_value(format);
    std::vector<uint16_t> partners{0x0000,
                                   0x8000,
                                   0x0001,
                                   0x8001,
                                   0x7fff,
                                   0xffff,
                                   format.infinity,
                                   static_cast<uint16_t>(format.infinity | 0x8000),
                                   static_cast<uint16_t>(format.infinity - 1),
                                   static_cast<uint16_t>(format.infinity + 1)};
    for (int bits = 0; bits < 65536; bits += 251) partners.push_back(bits);
    for (int a = 0; a < 65536; ++a) {
      for (const uint16_t b : partners) {
        uint64_t expected = kUlpNan;
        if (a == b) {
          expected = 0;
        } else if (places[a] >= 0 && places[b] >= 0) {
          expected = std::abs(places[a] - places[b]);
        }
        ASSERT_EQ(ulp_distance(format.dtype, a, b), expected)
            << dtype_name(format.dtype) << " " << std::hex << a << " " << b;
        ASSERT_EQ(ulp_distance(format.dtype, b, a), expected) << "not symmetric";
      }
    }
  }
}

TEST(Ulp, NeighboursAreOneApart) {
  for (const HalfFormat& format : kHalves) {
    for (int bits = 0; bits < format.infinity; ++bits) {
      ASSERT_EQ(ulp_distance(format.dtype, bits, bits + 1), 1u);
      ASSERT_EQ(ulp_distance(format.dtype, bits | 0x8000, (bits + 1) | 0x8000), 1u);
    }
  }
}

template <typename Float, typename Bits>
void check_wide_format(Dtype dtype) {
  using Limits = std::numeric_limits<Float>;
  const auto distance = [dtype](Float a, Float b) {
    return ulp_distance(dtype, std::bit_cast<Bits>(a), std::bit_cast<Bits>(b));
  };
  EXPECT_EQ(distance(0, -Float{0}), 0u);
  EXPECT_EQ(distance(Limits::denorm_min(), -Limits::denorm_min()), 2u);
  EXPECT_EQ(distance(Limits::min(), std::nextafter(Limits::min(), Float{0})), 1u);
  EXPECT_EQ(distance(Limits::max(), Limits::infinity()), 1u);
  EXPECT_EQ(distance(-Limits::max(), -Limits::infinity()), 1u);
  EXPECT_EQ(distance(1, 1 + Limits::epsilon()), 1u);
  EXPECT_EQ(distance(1, 2), uint64_t{1} << (Limits::digits - 1));
  EXPECT_EQ(distance(Limits::infinity(), -Limits::infinity()),
            2 * uint64_t{std::bit_cast<Bits>(Limits::infinity())});
  EXPECT_EQ(distance(Limits::quiet_NaN(), Limits::quiet_NaN()), 0u);
  EXPECT_EQ(distance(Limits::quiet_NaN(), -Limits::quiet_NaN()), kUlpNan);
  EXPECT_EQ(distance(Limits::quiet_NaN(), Limits::infinity()), kUlpNan);
  Float value = Float{-1e-3};
  Float other = value;
  for (uint64_t steps = 0; steps < 100; ++steps) {
    EXPECT_EQ(distance(value, other), steps);
    other = std::nextafter(other, Limits::infinity());
  }
}

TEST(Ulp, Float32) { check_wide_format<float, uint32_t>(Dtype::float32); }
TEST(Ulp, Float64) { check_wide_format<double, uint64_t>(Dtype::float64); }

TEST(Ulp, HasNoMeaningForIntegers) {
  EXPECT_THROW(ulp_distance(Dtype::int32, 0, 1), std::invalid_argument);
}

TEST(BitExact, TellsSignedZerosAndPayloadsApart) {
  const float plus = 0.0f, minus = -0.0f;
  EXPECT_TRUE(bit_exact(Dtype::float32, &plus, &plus, 1));
  EXPECT_FALSE(bit_exact(Dtype::float32, &plus, &minus, 1));
  const uint16_t nan_a = 0x7fc0, nan_b = 0x7fc1;
  EXPECT_TRUE(bit_exact(Dtype::bfloat16, &nan_a, &nan_a, 1));
  EXPECT_FALSE(bit_exact(Dtype::bfloat16, &nan_a, &nan_b, 1));
  EXPECT_TRUE(bit_exact(Dtype::float32, nullptr, nullptr, 0));
}

}  // namespace
}  // namespace samebits
