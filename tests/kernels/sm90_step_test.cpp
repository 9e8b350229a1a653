#include "harness/kernels/cpu/sm90_step.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <random>

namespace samebits {
namespace {

using Values = std::array<uint16_t, kSm90StepK>;

uint16_t bf16(float x) {
  EXPECT_EQ(round_to_bf16(x), x) << x << " is no bf16 value";
  return f32_to_bf16(x);
}

// The step of C and products that are given one by one.
float step_of(float c, std::initializer_list<std::pair<float, float>> products) {
  Values a{};
  Values b{};
  size_t k = 0;
  for (const auto& [x, y] : products) {
    a[k] = bf16(x);
    b[k++] = bf16(y);
  }
  return sm90_step(c, a.data(), b.data());
}

TEST(Sm90Step, ExactSumsAreExact) {
  EXPECT_EQ(step_of(0.0f, {}), 0.0f);
  EXPECT_EQ(step_of(1.5f, {{2, 3}, {-4, 0.25f}}), 6.5f);
  EXPECT_EQ(step_of(-6.0f, {{2, 3}}), 0.0f);
}

TEST(Sm90Step, TermsAreCutAt25FractionBits) {
  // 2^-25 below the reference still counts, 2^-26 does not, however many there are.
  EXPECT_EQ(step_of(-1.0f, {{1, 1}, {0x1p-13f, 0x1p-12f}}), 0x1p-25f);
  EXPECT_EQ(step_of(-1.0f, {{1, 1}, {0x1p-13f, 0x1p-13f}}), 0.0f);
  EXPECT_EQ(step_of(-1.0f, {{1, 1}, {0x1p-13f, 0x1p-13f}, {0x1p-13f, 0x1p-13f}}), 0.0f);
  // Toward zero on the magnitude: the negative ones vanish as the positive ones do.
  EXPECT_EQ(step_of(-1.0f, {{1, 1}, {-0x1p-13f, 0x1p-13f}}), 0.0f);
}

TEST(Sm90Step, ProductsAreNotRenormalised) {
  // 1.5 * 1.5 = 2.25 keeps exponent 0, so 2^-25 is not cut away. 2 * 1 has exponent 1: it is.
  EXPECT_EQ(step_of(0.0f, {{1.5f, 1.5f}, {-1.5f, 1.5f}, {0x1p-13f, 0x1p-12f}}), 0x1p-25f);
  EXPECT_EQ(step_of(0.0f, {{2, 1}, {-2, 1}, {0x1p-13f, 0x1p-12f}}), 0.0f);
}

TEST(Sm90Step, TheResultIsCutTowardZero) {
  EXPECT_EQ(step_of(1.0f, {{0x1p-12f, 0x1.8p-12f}}), 1.0f);
  EXPECT_EQ(step_of(1.0f, {{0x1p-12f, 0x1.8p-11f}}), 1.0f + 0x1p-23f);
  EXPECT_EQ(step_of(-1.0f, {{-0x1p-12f, 0x1.8p-11f}}), -1.0f - 0x1p-23f);
}

TEST(Sm90Step, DenormalsAreKept) {
  EXPECT_EQ(step_of(0.0f, {{0x1p-133f, 1}}), 0x1p-133f);
  EXPECT_EQ(step_of(0.0f, {{0x1p-100f, 0x1p-49f}}), 0x1p-149f);
  EXPECT_EQ(step_of(0x1p-149f, {{0x1p-100f, 0x1p-49f}}), 0x1p-148f);
}

TEST(Sm90Step, TheReferenceIsNeverBelowMinus133) {
  EXPECT_EQ(step_of(0.0f, {{0x1p-74f, 0x1p-74f}, {-0x1p-79f, 0x1p-79f}}), 0x1p-149f);
  EXPECT_EQ(step_of(0.0f, {{0x1p-74f, 0x1p-74f}, {-0x1p-79f, 0x1p-80f}}), 0x1p-148f);
}

TEST(Sm90Step, ZerosAreDecided) {
  EXPECT_EQ(f32_bits(step_of(-0.0f, {})), 0u);
  EXPECT_EQ(f32_bits(step_of(-0.0f, {{-0.0f, 1}})), 0u);
  EXPECT_EQ(f32_bits(step_of(-1.0f, {{1, 1}})), 0u);
  EXPECT_EQ(f32_bits(step_of(0.0f, {{-0x1p-75f, 0x1p-75f}})), 0u) << "cut down to zero";
}

TEST(Sm90Step, InfinitiesAndNansAreDecided) {
  constexpr float kInfinity = INFINITY;
  EXPECT_EQ(step_of(1.0f, {{kInfinity, 2}}), kInfinity);
  EXPECT_EQ(step_of(-kInfinity, {{3, 2}}), -kInfinity);
  EXPECT_EQ(f32_bits(step_of(-kInfinity, {{kInfinity, 2}})), kNanF32);
  EXPECT_EQ(f32_bits(step_of(1.0f, {{kInfinity, 0}})), kNanF32);
  EXPECT_EQ(f32_bits(step_of(f32_from_bits(0xffc01234u), {{1, 1}})), kNanF32);
  EXPECT_EQ(step_of(0x1.fp127f, {{0x1p100f, 0x1p27f}}), kInfinity) << "overflow";
}

class Sm90StepOnRandomValues : public ::testing::Test {
 protected:
  // Normal values scaled by 2^-12 .. 2^12.
  Values values() {
    Values result;
    for (uint16_t& value : result) {
      value = f32_to_bf16(std::ldexp(normal_(rng_), static_cast<int>(rng_() % 25) - 12));
    }
    return result;
  }

  std::mt19937 rng_{7};
  std::normal_distribution<float> normal_;
};

TEST_F(Sm90StepOnRandomValues, TheOrderOfTheTermsDoesNotMatter) {
  for (int i = 0; i < 2000; ++i) {
    const Values a = values();
    const Values b = values();
    std::array<int, kSm90StepK> order;
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), rng_);
    Values x;
    Values y;
    for (int k = 0; k < kSm90StepK; ++k) {
      x[k] = a[order[k]];
      y[k] = b[order[k]];
    }
    const float c = normal_(rng_);
    ASSERT_EQ(f32_bits(sm90_step(c, a.data(), b.data())),
              f32_bits(sm90_step(c, x.data(), y.data())));
  }
}

// The controls: the order of steps matters, and no ascending chain of fused multiply-adds is the
// step.
TEST_F(Sm90StepOnRandomValues, TheOrderOfStepsMattersAndFmaDiffers) {
  int swapped_differs = 0;
  int fma_differs = 0;
  for (int i = 0; i < 200; ++i) {
    const Values a0 = values(), b0 = values(), a1 = values(), b1 = values();
    const float forward = sm90_step(sm90_step(0.0f, a0.data(), b0.data()), a1.data(), b1.data());
    const float swapped = sm90_step(sm90_step(0.0f, a1.data(), b1.data()), a0.data(), b0.data());
    float fma = 0.0f;
    for (int k = 0; k < kSm90StepK; ++k) {
      fma = std::fmaf(bf16_to_f32(a0[k]), bf16_to_f32(b0[k]), fma);
    }
    swapped_differs += f32_bits(forward) != f32_bits(swapped);
    fma_differs += f32_bits(fma) != f32_bits(sm90_step(0.0f, a0.data(), b0.data()));
  }
  EXPECT_GT(swapped_differs, 20);
  EXPECT_GT(fma_differs, 20);
}

}  // namespace
}  // namespace samebits
