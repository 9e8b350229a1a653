#include "harness/bits/philox.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cstdint>

namespace samebits {
namespace {

using Counter = std::array<uint32_t, 4>;
using Key = std::array<uint32_t, 2>;

// The three known answers that Random123 publishes for philox4x32-10 (tests/kat_vectors).
TEST(Philox, GivesThePublishedAnswers) {
  EXPECT_EQ(philox4x32_10({0, 0, 0, 0}, {0, 0}),
            (Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(philox4x32_10({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  // The digits of pi.
  EXPECT_EQ(
      philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
      (Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, IsAConstantExpression) {
  static_assert(philox4x32_10({0, 0, 0, 0}, {0, 0})[0] == 0x6627e8d5);
}

int differing_bits(const Counter& a, const Counter& b) {
  int bits = 0;
  for (size_t i = 0; i < a.size(); ++i) bits += std::popcount(a[i] ^ b[i]);
  return bits;
}

// Any one bit of the counter or of the key moves about half of the 128 output bits (5 standard
// deviations are 28).
TEST(Philox, EveryInputBitMatters) {
  const Counter counter{1, 2, 3, 4};
  const Key key{5, 6};
  const Counter base = philox4x32_10(counter, key);
  for (int bit = 0; bit < 128; ++bit) {
    Counter flipped = counter;
    flipped[bit / 32] ^= 1u << (bit % 32);
    EXPECT_NEAR(differing_bits(base, philox4x32_10(flipped, key)), 64, 28) << "counter bit " << bit;
  }
  for (int bit = 0; bit < 64; ++bit) {
    Key flipped = key;
    flipped[bit / 32] ^= 1u << (bit % 32);
    EXPECT_NEAR(differing_bits(base, philox4x32_10(counter, flipped)), 64, 28) << "key bit " << bit;
  }
}

}  // namespace
}  // namespace samebits
