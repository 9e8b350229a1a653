#include "harness/bits/digest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <numeric>
#include <set>
#include <vector>

#include "harness/base/error.h"
#include "harness/bits/philox.h"

namespace samebits {
namespace {

using Shape = std::vector<int64_t>;

constexpr Dtype kAllDtypes[] = {Dtype::bool_,   Dtype::uint8,  Dtype::int8,    Dtype::int16,
                                Dtype::int32,   Dtype::int64,  Dtype::float16, Dtype::bfloat16,
                                Dtype::float32, Dtype::float64};

std::vector<unsigned char> random_bytes(size_t count, uint32_t seed) {
  std::vector<unsigned char> bytes(count);
  for (size_t i = 0; i < count; ++i) {
    bytes[i] = static_cast<unsigned char>(
        philox4x32_10({static_cast<uint32_t>(i), 0, 0, 0}, {seed, 0})[0]);
  }
  return bytes;
}

int distance(const Digest& a, const Digest& b) {
  return std::popcount(a.high ^ b.high) + std::popcount(a.low ^ b.low);
}

// The definition, element by element, with none of the fast paths.
Digest digest_by_definition(Dtype dtype, const Shape& shape, const void* data) {
  const int64_t count =
      std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
  DigestSums sums;
  for (int64_t i = 0; i < count; ++i) {
    uint64_t bits = 0;  // little-endian: the low bytes
    std::memcpy(&bits, static_cast<const char*>(data) + i * dtype_size(dtype), dtype_size(dtype));
    sums.add(bits, i);
  }
  return finish_digest(sums, dtype, shape);
}

TEST(Digest, OfAnotherShapeFollowsFromTheDigestAndBothShapes) {
  const std::vector<Shape> shapes = {{24}, {2, 12}, {1, 24}, {2, 3, 4}, {4, 3, 2}, {24, 1, 1, 1}};
  for (const Dtype dtype : kAllDtypes) {
    const auto bytes = random_bytes(24 * dtype_size(dtype), 11);
    for (const Shape& from : shapes) {
      const Digest digest = digest_of(dtype, from, bytes.data());
      for (const Shape& to : shapes) {
        EXPECT_EQ(reshaped_digest(digest, dtype, from, to), digest_of(dtype, to, bytes.data()));
      }
      // From another shape than it had, it is the digest of nothing that is there.
      EXPECT_NE(reshaped_digest(digest, dtype, {}, {{24}}), digest_of(dtype, {{24}}, bytes.data()));
    }
    auto moved = bytes;
    moved[3] ^= 1;
    EXPECT_NE(reshaped_digest(digest_of(dtype, shapes[1], moved.data()), dtype, shapes[1], {{24}}),
              digest_of(dtype, {{24}}, bytes.data()));
  }
}

TEST(Digest, FastPathsFollowTheDefinitionAtEveryLengthAndAlignment) {
  for (const Dtype dtype : kAllDtypes) {
    for (int64_t count = 0; count < 100; ++count) {
      const auto bytes = random_bytes(count * dtype_size(dtype) + 1, 7);
      const void* unaligned = bytes.data() + 1;
      const Shape shape{count};
      EXPECT_EQ(digest_of(dtype, shape, unaligned), digest_by_definition(dtype, shape, unaligned))
          << dtype_name(dtype) << " of " << count;
    }
  }
}

// Computed apart, in Python, from the definition. A digest is stored in goldens: it must never
// drift.
TEST(Digest, KeepsItsRecordedValues) {
  const std::array<uint16_t, 6> values{0x3f80, 0xbf80, 0x0000, 0x8000, 0x7fc0, 0x0001};
  EXPECT_EQ(digest_of(Dtype::bfloat16, Shape{2, 3}, values.data()).hex(),
            "bdf7fcc5547f47217e1dec217e51d6eb");
  EXPECT_EQ(digest_of(Dtype::float32, Shape{0}, nullptr).hex(), "201cfb7b6e3dd0d930d7e187d262689e");
}

TEST(Digest, DoesNotDependOnTheOrderOfVisits) {
  const int64_t count = 1000;
  const auto bytes = random_bytes(count * 4, 1);
  const Shape shape{count};
  const Digest expected = digest_of(Dtype::float32, shape, bytes.data());

  // Pieces of odd lengths, added back to front, merged from two partial sums.
  DigestSums even, odd;
  std::vector<int64_t> cuts{0, 1, 8, 9, 200, 463, 464, 999, count};
  for (size_t i = cuts.size() - 1; i-- > 0;) {
    add_range(i % 2 ? odd : even, 4, bytes.data() + 4 * cuts[i], cuts[i + 1] - cuts[i], cuts[i]);
  }
  odd.add(even);
  EXPECT_EQ(finish_digest(odd, Dtype::float32, shape), expected);

  // A permutation, as scattered elements.
  std::vector<int64_t> indices(count);
  std::iota(indices.begin(), indices.end(), 0);
  std::rotate(indices.begin(), indices.begin() + 313, indices.end());
  std::vector<uint32_t> shuffled(count);
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(&shuffled[i], bytes.data() + 4 * indices[i], 4);
  }
  DigestSums scattered;
  add_scattered(scattered, 4, shuffled.data(), indices);
  EXPECT_EQ(finish_digest(scattered, Dtype::float32, shape), expected);

  // The twin: one piece at a wrong place must show.
  DigestSums misplaced;
  add_range(misplaced, 4, bytes.data(), count, 1);
  EXPECT_NE(finish_digest(misplaced, Dtype::float32, shape), expected);
}

TEST(Digest, TransposedMemoryAndShardsGiveTheWholesDigest) {
  const int64_t rows = 7, columns = 5;
  const auto bytes = random_bytes(rows * columns * 2, 2);
  const Shape shape{rows, columns};
  const Digest expected = digest_of(Dtype::bfloat16, shape, bytes.data());

  std::vector<uint16_t> transposed(rows * columns);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      std::memcpy(&transposed[c * rows + r], bytes.data() + 2 * (r * columns + c), 2);
    }
  }
  DigestSums strided;
  add_block(strided, 2, transposed.data(), shape, Shape{1, rows}, Shape{columns, 1}, 0);
  EXPECT_EQ(finish_digest(strided, Dtype::bfloat16, shape), expected);

  // Uneven shards of the columns, each in memory of its own.
  DigestSums sharded;
  for (const auto& [first, width] : {std::pair<int64_t, int64_t>{3, 2}, {0, 3}, {5, 0}}) {
    std::vector<uint16_t> local(rows * width);
    for (int64_t r = 0; r < rows; ++r) {
      if (width == 0) continue;
      std::memcpy(&local[r * width], bytes.data() + 2 * (r * columns + first), 2 * width);
    }
    add_block(sharded, 2, local.data(), Shape{rows, width}, Shape{width, 1}, Shape{columns, 1},
              first);
  }
  EXPECT_EQ(finish_digest(sharded, Dtype::bfloat16, shape), expected);
}

TEST(Digest, AScalarIsABlockOfNoDimensions) {
  const float value = 1.5f;
  DigestSums sums;
  add_block(sums, 4, &value, {}, {}, {}, 0);
  EXPECT_EQ(finish_digest(sums, Dtype::float32, {}), digest_of(Dtype::float32, {}, &value));
}

TEST(Digest, SeesEverySwapOfTwoElements) {
  std::vector<uint16_t> values(40);
  std::iota(values.begin(), values.end(), 0x3f00);
  const Shape shape{40};
  const Digest base = digest_of(Dtype::bfloat16, shape, values.data());
  for (size_t i = 0; i < values.size(); ++i) {
    for (size_t j = i + 1; j < values.size(); ++j) {
      std::swap(values[i], values[j]);
      EXPECT_NE(digest_of(Dtype::bfloat16, shape, values.data()), base) << i << " and " << j;
      std::swap(values[i], values[j]);
    }
  }
  EXPECT_EQ(digest_of(Dtype::bfloat16, shape, values.data()), base);
}

// What an exclusive-or or a plain sum of the elements would miss.
TEST(Digest, SeesPairedBitFlips) {
  std::vector<uint32_t> values(16, 0x3f800000);
  const Shape shape{16};
  std::set<std::string> seen{digest_of(Dtype::float32, shape, values.data()).hex()};
  size_t expected = 1;
  for (size_t i = 0; i < values.size(); ++i) {
    for (size_t j = i + 1; j < values.size(); ++j) {
      for (int bit = 0; bit < 32; ++bit) {
        values[i] ^= 1u << bit;
        values[j] ^= 1u << bit;
        seen.insert(digest_of(Dtype::float32, shape, values.data()).hex());
        ++expected;
        values[i] ^= 1u << bit;
        values[j] ^= 1u << bit;
      }
    }
  }
  EXPECT_EQ(seen.size(), expected);
}

TEST(Digest, SeesSignedZerosAndNanPayloads) {
  const uint32_t bits[] = {0x00000000, 0x80000000, 0x7fc00000, 0x7fc00001};
  std::set<std::string> seen;
  for (const uint32_t value : bits) seen.insert(digest_of(Dtype::float32, Shape{1}, &value).hex());
  EXPECT_EQ(seen.size(), std::size(bits));
}

TEST(Digest, SeesTheShape) {
  const std::vector<float> zeros(12, 0.0f);
  std::set<std::string> seen;
  const std::vector<Shape> shapes{{12},       {1, 12}, {12, 1}, {3, 4},    {4, 3},
                                  {1, 1, 12}, {2, 6},  {6, 2},  {2, 2, 3}, {1, 3, 4}};
  for (const Shape& shape : shapes)
    seen.insert(digest_of(Dtype::float32, shape, zeros.data()).hex());
  for (const Shape& shape : {Shape{0}, Shape{0, 3}, Shape{3, 0}, Shape{0, 0}}) {
    seen.insert(digest_of(Dtype::float32, shape, nullptr).hex());
  }
  EXPECT_EQ(seen.size(), shapes.size() + 4);
}

TEST(Digest, SeesTheDtype) {
  const std::array<uint64_t, 4> zeros{};
  std::set<std::string> seen;
  for (const Dtype dtype : kAllDtypes) {
    seen.insert(digest_of(dtype, Shape{4}, zeros.data()).hex());
    seen.insert(digest_of(dtype, Shape{0}, nullptr).hex());
  }
  EXPECT_EQ(seen.size(), 2 * std::size(kAllDtypes));
}

// Flipping any one bit of the data moves about half of the digest (5 standard deviations are 28).
TEST(Digest, OneBitMovesHalfOfTheDigest) {
  auto bytes = random_bytes(64 * 4, 3);
  const Shape shape{64};
  const Digest base = digest_of(Dtype::float32, shape, bytes.data());
  double total = 0;
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= 1u << (bit % 8);
    const int moved = distance(base, digest_of(Dtype::float32, shape, bytes.data()));
    EXPECT_NEAR(moved, 64, 32) << "bit " << bit;
    total += moved;
    bytes[bit / 8] ^= 1u << (bit % 8);
  }
  EXPECT_NEAR(total / (bytes.size() * 8), 64, 1);
}

// All values of a 16-bit element at all of 64 positions: no two of the 4 million contributions meet
// in either sum.
TEST(Digest, ContributionsDoNotCollide) {
  for (uint64_t DigestSums::*sum : {&DigestSums::a, &DigestSums::b}) {
    std::vector<uint64_t> contributions;
    contributions.reserve(64 * 65536);
    for (uint64_t index = 0; index < 64; ++index) {
      for (uint64_t bits = 0; bits < 65536; ++bits) {
        DigestSums one;
        one.add(bits, index);
        contributions.push_back(one.*sum);
      }
    }
    std::sort(contributions.begin(), contributions.end());
    EXPECT_EQ(std::adjacent_find(contributions.begin(), contributions.end()), contributions.end());
  }
}

TEST(Digest, HexRoundTrips) {
  const Digest digest{0x0123456789abcdef, 0xfedcba9876543210};
  EXPECT_EQ(digest.hex(), "0123456789abcdeffedcba9876543210");
  EXPECT_EQ(Digest::from_hex(digest.hex(), "line 1"), digest);
}

TEST(Digest, RefusesWhatIsNoDigest) {
  for (const char* text :
       {"", "0123456789abcdeffedcba987654321", "0123456789abcdeffedcba98765432100",
        "0123456789abcdefFedcba9876543210", "0123456789abcdeg0000000000000000"}) {
    try {
      Digest::from_hex(text, "eager/rank-0.jsonl: line 3: digest");
      ADD_FAILURE() << "accepted " << text;
    } catch (const InputError& error) {
      EXPECT_EQ(std::string(error.what()),
                std::string("eager/rank-0.jsonl: line 3: digest: found \"") + text +
                    "\", expected 32 lower-case hexadecimal digits");
    }
  }
}

TEST(Digest, RefusesElementsOfAnOddSize) {
  DigestSums sums;
  EXPECT_THROW(add_range(sums, 3, nullptr, 0, 0), std::invalid_argument);
  EXPECT_THROW(add_block(sums, 4, nullptr, Shape{1}, Shape{}, Shape{1}, 0), std::invalid_argument);
}

}  // namespace
}  // namespace samebits
