#include "harness/kernels/cpu/math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace samebits {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr uint64_t kStride = 4099;  // prime: about a million arguments over all bit patterns

// |got - want| in units in the last place of the float32 nearest to `want`.
double ulps(float got, double want) {
  const auto nearest = static_cast<float>(want);
  if (std::isnan(nearest) || std::isnan(got))
    return std::isnan(nearest) == std::isnan(got) ? 0 : 1e9;
  if (std::isinf(nearest) || std::isinf(got)) return nearest == got ? 0 : 1e9;
  int exponent = 0;
  std::frexp(want, &exponent);
  return std::abs(static_cast<double>(got) - want) / std::ldexp(1.0, std::max(exponent, -125) - 24);
}

template <typename Function, typename Reference>
double largest_error(Function function, Reference reference) {
  double largest = 0;
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += kStride) {
    const float x = f32_from_bits(static_cast<uint32_t>(bits));
    largest = std::max(largest, ulps(function(x), reference(static_cast<double>(x))));
  }
  return largest;
}

double exp_of(double x) { return std::exp(x); }
double log_of(double x) { return std::log(x); }

TEST(Math, ExpIsWithinItsBound) {
  EXPECT_LE(largest_error([](float x) { return exp_f32(x); }, exp_of), 1.04);
  EXPECT_EQ(exp_f32(0.0f), 1.0f);
  EXPECT_EQ(exp_f32(-0.0f), 1.0f);
  EXPECT_EQ(exp_f32(kInfinity), kInfinity);
  EXPECT_EQ(f32_bits(exp_f32(-kInfinity)), 0u);
  EXPECT_TRUE(std::isnan(exp_f32(f32_from_bits(kNanF32))));
  EXPECT_EQ(exp_f32(88.72284f), kInfinity);
  EXPECT_LT(exp_f32(88.72283f), kInfinity);
  EXPECT_EQ(f32_bits(exp_f32(-103.2f)), 1u) << "the smallest denormal";
}

TEST(Math, LogIsWithinItsBound) {
  EXPECT_LE(largest_error([](float x) { return log_f32(x); }, log_of), 0.82);
  EXPECT_EQ(f32_bits(log_f32(1.0f)), 0u);
  EXPECT_EQ(log_f32(0.0f), -kInfinity);
  EXPECT_EQ(log_f32(-0.0f), -kInfinity);
  EXPECT_EQ(log_f32(kInfinity), kInfinity);
  EXPECT_EQ(f32_bits(log_f32(-1.0f)), kNanF32);
}

// The control: a result one unit off is outside the bound, so the bound can fail.
TEST(Math, ABoundOfItsOwnSizeSeesOneUnit) {
  const auto off_by_one = [](float x) {
    const float y = exp_f32(x);
    return y > 0 && y < kInfinity ? std::nextafter(std::nextafter(y, kInfinity), kInfinity) : y;
  };
  EXPECT_GT(largest_error(off_by_one, exp_of), 1.04);
}

TEST(Math, OrdinaryExpIsExpWhereItMayBeUsed) {
  int64_t others = 0;
  for (uint64_t bits = 0; bits <= 0xffffffffu; bits += kStride) {
    const float x = f32_from_bits(static_cast<uint32_t>(bits));
    const bool is_same = f32_bits(ordinary_exp_f32(x)) == f32_bits(exp_f32(x));
    if (std::abs(x) <= kOrdinaryExp) {
      ASSERT_TRUE(is_same) << x;
    } else if (!is_same) {
      ++others;
    }
  }
  EXPECT_GT(others, 0) << "nothing lies outside its range";
}

// Nearest of the two neighbours, by double arithmetic; ties to the even one.
uint16_t nearest_bf16(float x) {
  if (std::isnan(x)) return kNanBf16;
  const auto down = static_cast<uint16_t>(f32_bits(x) >> 16);  // toward zero
  if (std::isinf(x)) return down;
  const auto up = static_cast<uint16_t>(down + 1);
  const auto value = [](uint16_t bits) {  // infinity stands for the next power of two
    return (bits & 0x7fff) == 0x7f80
               ? std::copysign(0x1p128, static_cast<double>(bf16_to_f32(bits)))
               : static_cast<double>(bf16_to_f32(bits));
  };
  const double below = std::abs(x - value(down));
  const double above = std::abs(value(up) - x);
  if (below != above) return below < above ? down : up;
  return (down & 1) == 0 ? down : up;
}

TEST(Math, Bf16RoundsToNearestEven) {
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += kStride) {
    const float x = f32_from_bits(static_cast<uint32_t>(bits));
    ASSERT_EQ(f32_to_bf16(x), nearest_bf16(x)) << std::hex << bits;
  }
  for (uint32_t high = 0; high < 0x10000; ++high) {  // every tie
    const float x = f32_from_bits(high << 16 | 0x8000u);
    ASSERT_EQ(f32_to_bf16(x), nearest_bf16(x)) << std::hex << high;
  }
}

}  // namespace
}  // namespace samebits
