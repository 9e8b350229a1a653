#include "harness/compare/rearrangement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <stdexcept>

namespace samebits {
namespace {

// float32, filled with numbers from a seed, all different.
struct Tensor {
  std::vector<int64_t> shape;
  std::vector<float> values;

  explicit Tensor(std::vector<int64_t> sizes) : shape(std::move(sizes)) {
    values.resize(static_cast<size_t>(
        std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>())));
    std::iota(values.begin(), values.end(), 1.0f);
    std::shuffle(values.begin(), values.end(), std::mt19937(3));
  }
  TensorView view() const { return {"t", Dtype::float32, shape, std::as_bytes(std::span(values))}; }
};

// `x` whose index i along `dim` is that of `places[i]`.
Tensor moved(const Tensor& x, size_t dim, const std::vector<int64_t>& places) {
  Tensor y = x;
  int64_t inner = 1;
  for (size_t d = dim + 1; d < x.shape.size(); ++d) inner *= x.shape[d];
  for (size_t at = 0; at < x.values.size(); ++at) {
    const int64_t i = static_cast<int64_t>(at) / inner % x.shape[dim];
    y.values[at] = x.values[at + static_cast<size_t>((places[static_cast<size_t>(i)] - i) * inner)];
  }
  return y;
}

std::string text_of(const Tensor& a, const Tensor& b) {
  return rearrangement_text(a.view(), b.view());
}

TEST(RearrangementTest, TwoRanksThatSwapTheirShards) {
  const Tensor x({1, 3, 8});
  EXPECT_EQ(text_of(x, moved(x, 2, {4, 5, 6, 7, 0, 1, 2, 3})),
            "dim 2: 0 to 3 are the first's 4 to 7, 4 to 7 its 0 to 3");
  EXPECT_EQ(text_of(x, moved(x, 2, {0, 1, 4, 5, 2, 3, 6, 7})),  // the two in the middle, of four
            "dim 2: 2 to 3 are the first's 4 to 5, 4 to 5 its 2 to 3");
}

TEST(RearrangementTest, RowsThatAreShifted) {
  const Tensor x({4, 5});
  EXPECT_EQ(text_of(x, moved(x, 0, {3, 0, 1, 2})), "dim 0: 0 is the first's 3, 1 to 3 its 0 to 2");
}

TEST(RearrangementTest, ATransposedSquare) {
  const Tensor x({2, 3, 3});
  Tensor y = x;
  for (size_t b = 0; b < 2; ++b) {
    for (size_t i = 0; i < 3; ++i) {
      for (size_t j = 0; j < 3; ++j) y.values[b * 9 + i * 3 + j] = x.values[b * 9 + j * 3 + i];
    }
  }
  EXPECT_EQ(text_of(x, y), "dims 1 and 2 are transposed");
  std::swap(y.values[0], y.values[1]);
  EXPECT_EQ(text_of(x, y), "");
}

TEST(RearrangementTest, OfManyRunsTheFirstAreTold) {
  const Tensor x({12});
  EXPECT_EQ(text_of(x, moved(x, 0, {1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10})),
            "dim 0: 0 is the first's 1, 1 its 0, 2 its 3, 3 its 2, and so on");
}

TEST(RearrangementTest, AmongEqualIndicesNoneMoves) {
  Tensor x({4, 2});
  x.values = {7, 7, 7, 7, 1, 2, 3, 4};
  EXPECT_EQ(text_of(x, moved(x, 0, {0, 1, 3, 2})), "dim 0: 2 is the first's 3, 3 its 2");
}

// Any permutation of any dimension is found, and none once an element has another value.
TEST(RearrangementTest, AnyPermutationOfAnyDimension) {
  std::mt19937 draw(11);
  for (int round = 0; round < 200; ++round) {
    const Tensor x({1 + static_cast<int64_t>(draw() % 4), 2 + static_cast<int64_t>(draw() % 5),
                    2 + static_cast<int64_t>(draw() % 5)});
    const size_t dim = draw() % 3;
    std::vector<int64_t> places(static_cast<size_t>(x.shape[dim]));
    std::iota(places.begin(), places.end(), 0);
    std::shuffle(places.begin(), places.end(), draw);
    Tensor y = moved(x, dim, places);
    const bool is_same = std::is_sorted(places.begin(), places.end());
    const std::string text = text_of(x, y);
    EXPECT_EQ(text.starts_with("dim " + std::to_string(dim) + ": "), !is_same) << text;
    y.values[draw() % y.values.size()] = -1;
    EXPECT_EQ(text_of(x, y), "");
  }
}

TEST(RearrangementTest, EmptyTensorsAndOtherForms) {
  const Tensor none({0, 3});
  EXPECT_EQ(text_of(none, none), "");
  const Tensor x({2, 3});
  EXPECT_EQ(text_of(x, x), "");
  EXPECT_THROW(text_of(x, Tensor({3, 2})), std::invalid_argument);
}

}  // namespace
}  // namespace samebits
