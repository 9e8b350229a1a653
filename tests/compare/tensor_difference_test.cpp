#include "harness/compare/tensor_difference.h"

#include <gmock/gmock.h>

#include <cmath>
#include <random>

#include "harness/bits/ulp.h"

namespace samebits {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

template <class T>
TensorView view(Dtype dtype, std::vector<int64_t> shape, const std::vector<T>& values) {
  return {"t", dtype, std::move(shape), std::as_bytes(std::span(values))};
}

TEST(TensorDifference, SaysHowManyWhereAndByHowMuch) {
  const std::vector<float> a = {1, 2, 3, 4, 5, 6};
  std::vector<float> b = a;
  b[4] = std::nextafter(5.0f, 6.0f);
  b[5] = 6.5f;
  const TensorDifference found =
      difference_of(view(Dtype::float32, {2, 3}, a), view(Dtype::float32, {2, 3}, b));
  EXPECT_EQ(found.different, 2);
  EXPECT_THAT(found.first->index, ElementsAre(1, 1));
  EXPECT_EQ(found.first->ulp, 1u);
  EXPECT_THAT(found.largest->index, ElementsAre(1, 2));
  EXPECT_EQ(found.largest->b, "6.5");
  EXPECT_THAT(found.by_index[0], ElementsAre(0, 2));
  EXPECT_THAT(found.by_index[1], ElementsAre(0, 1, 1));
  EXPECT_THAT(found.facts(), ElementsAre(Pair("elements", "2 of 6 differ"),
                                         Pair("first", "[1,1]: 5 against 5.0000005, 1 ULP"),
                                         Pair("largest", "[1,2]: 6 against 6.5, 1048576 ULP"),
                                         Pair("by ULP", "1 ULP: 1, 1048576 to 2097151 ULP: 1"),
                                         Pair("dim 0", "1 of 2 indices, from 1 to 1  .6"),
                                         Pair("dim 1", "2 of 3 indices, from 1 to 2  .55")));
}

TEST(TensorDifference, EqualTensorsHaveNoElementToShow) {
  const std::vector<int64_t> a = {7, 8};
  const TensorDifference found =
      difference_of(view(Dtype::int64, {2}, a), view(Dtype::int64, {2}, a));
  EXPECT_EQ(found.different, 0);
  EXPECT_FALSE(found.first);
  EXPECT_THAT(found.facts(), ElementsAre(Pair("elements", "0 of 2 differ")));
}

TEST(TensorDifference, IntegersHaveNoDistance) {
  const TensorDifference found = difference_of(view<int64_t>(Dtype::int64, {2}, {7, 8}),
                                               view<int64_t>(Dtype::int64, {2}, {7, 9}));
  EXPECT_FALSE(found.largest);
  EXPECT_TRUE(found.by_distance.empty());
  EXPECT_EQ(found.first->b, "9");
}

TEST(TensorDifference, ANanIsFartherThanAnyNumber) {
  const float nan = std::nanf("");
  const TensorDifference found = difference_of(view<float>(Dtype::float32, {3}, {1, -1, 2}),
                                               view<float>(Dtype::float32, {3}, {8, nan, 2}));
  EXPECT_THAT(found.largest->index, ElementsAre(1));
  EXPECT_EQ(found.largest->ulp, kUlpNan);
  EXPECT_EQ(found.nonfinite_b, 1);
  EXPECT_THAT(found.facts()[0].second, HasSubstr("0 and 1 are NaN or infinite"));
}

TEST(TensorDifference, SignedZerosDifferAtNoDistance) {
  const TensorDifference found = difference_of(view<float>(Dtype::float32, {1}, {0.0f}),
                                               view<float>(Dtype::float32, {1}, {-0.0f}));
  EXPECT_EQ(found.different, 1);
  EXPECT_EQ(found.first->ulp, 0u);
  EXPECT_TRUE(found.by_distance.empty());
}

TEST(TensorDifference, UnequalFormsAreRefused) {
  const std::vector<float> a(6);
  EXPECT_THROW(difference_of(view(Dtype::float32, {2, 3}, a), view(Dtype::float32, {3, 2}, a)),
               std::invalid_argument);
}

// Over random shapes and planted differences: every count is that of the planted ones.
TEST(TensorDifference, FindsWhatWasPlanted) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<int64_t> shape;
    int64_t elements = 1;
    for (uint64_t dim = random() % 4; dim > 0; --dim) {
      shape.push_back(static_cast<int64_t>(random() % 90) + 1);
      elements *= shape.back();
      if (elements > 20'000) break;
    }
    std::vector<uint16_t> a(static_cast<size_t>(elements));
    for (uint16_t& each : a) each = static_cast<uint16_t>(0x3f80 + random() % 64);
    std::vector<uint16_t> b = a;
    int64_t planted = 0;
    for (uint16_t& each : b) {
      if (random() % 7 != 0) continue;
      ++each;
      ++planted;
    }
    const TensorDifference found =
        difference_of(view(Dtype::bfloat16, shape, a), view(Dtype::bfloat16, shape, b));
    ASSERT_EQ(found.different, planted);
    ASSERT_EQ(found.by_distance.empty() ? 0 : found.by_distance[0], planted);
    for (const std::vector<int64_t>& counts : found.by_index) {
      int64_t sum = 0;
      for (const int64_t count : counts) sum += count;
      ASSERT_EQ(sum, planted);
    }
    for (const auto& [fact, text] : found.facts()) ASSERT_LT(text.size(), 200u) << fact;
  }
}

}  // namespace
}  // namespace samebits
