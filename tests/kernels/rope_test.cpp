#include "harness/kernels/rope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/kernels/functional.h"
#include "tests/kernels/tensors.h"

namespace samebits {
namespace {

using testing::kDtypes;
using testing::random_tensor;
using testing::same_bits;

struct Table {
  at::Tensor cos;  // [positions, dim / 2]
  at::Tensor sin;
};

Table make_table(int64_t positions, int64_t dim) {
  const at::Tensor exponents = at::arange(0, dim, 2, at::kDouble) / static_cast<double>(dim);
  const at::Tensor angles = at::outer(at::arange(positions, at::kDouble), at::pow(1e6, -exponents));
  return {angles.cos().to(at::kFloat), angles.sin().to(at::kFloat)};
}

at::Tensor rotated_in_double(const at::Tensor& x, const Table& table, const at::Tensor& positions) {
  const at::Tensor c = table.cos.to(at::kDouble).index_select(0, positions[0]).unsqueeze(1);
  const at::Tensor s = table.sin.to(at::kDouble).index_select(0, positions[0]).unsqueeze(1);
  const auto halves = x.to(at::kDouble).chunk(2, -1);
  return at::cat({halves[0] * c - halves[1] * s, halves[1] * c + halves[0] * s}, -1);
}

TEST(Rope, RotatesThePairsOfHalves) {
  for (const auto dtype : kDtypes) {
    const Table table = make_table(50, 32);
    const at::Tensor x = random_tensor({1, 20, 3, 32}, dtype, 1);
    const at::Tensor positions = at::randint(0, 50, {1, 20}, testing::seeded(2), at::kLong);
    const at::Tensor y = ops::rope(x, table.cos, table.sin, positions, false);
    const at::Tensor exact = rotated_in_double(x, table, positions);
    // Two products and a sum of order 1 that may cancel, then the rounding to dtype.
    const double bound = dtype == at::kBFloat16 ? 1.01 * testing::kBf16Rounding : 2 * 0x1p-23;
    EXPECT_LT(testing::largest_error(y, exact, 1.0), bound);
    // The twin: neighbouring pairs (the other convention) are something else.
    const at::Tensor other = rotated_in_double(x.flip(-1), table, positions);
    EXPECT_GT(testing::largest_error(y, other, 1.0), 0.1);
  }
}

TEST(Rope, RoundsEachProductAndThenTheSum) {
  const Table table = make_table(9, 2);
  const at::Tensor x = random_tensor({1, 9, 1, 2}, at::kFloat, 3);
  const at::Tensor positions = at::arange(9, at::kLong).unsqueeze(0);
  const at::Tensor y = ops::rope(x, table.cos, table.sin, positions, false);
  bool fma_would_differ = false;
  for (int64_t t = 0; t < 9; ++t) {
    const float x1 = x.const_data_ptr<float>()[2 * t];
    const float x2 = x.const_data_ptr<float>()[2 * t + 1];
    const float c = table.cos.const_data_ptr<float>()[t];
    const float s = table.sin.const_data_ptr<float>()[t];
    const float first = x1 * c;
    const float second = x2 * s;
    EXPECT_EQ(y.const_data_ptr<float>()[2 * t], first - second);
    fma_would_differ |= std::fma(x1, c, -second) != first - second;
  }
  EXPECT_TRUE(fma_would_differ);
}

TEST(Rope, ATokenDependsOnItsPositionNotOnItsPlace) {
  const Table table = make_table(64, 16);
  const at::Tensor x = random_tensor({1, 12, 4, 16}, at::kBFloat16, 4);
  const at::Tensor positions = at::arange(40, 52, at::kLong).unsqueeze(0);
  const at::Tensor y = ops::rope(x, table.cos, table.sin, positions, false);
  for (const int64_t t : {0, 5, 11}) {
    EXPECT_TRUE(same_bits(
        ops::rope(x.slice(1, t, t + 1), table.cos, table.sin, positions.slice(1, t, t + 1), false),
        y.slice(1, t, t + 1)));
    EXPECT_FALSE(same_bits(ops::rope(x.slice(1, t, t + 1), table.cos, table.sin,
                                     positions.slice(1, t, t + 1) - 1, false),
                           y.slice(1, t, t + 1)));
  }
}

TEST(Rope, IsTheSameOnAllIsas) {
  for (const auto dtype : kDtypes) {
    for (const int64_t dim : {2, 6, 32, 128}) {
      const Table table = make_table(30, dim);
      const at::Tensor positions = at::randint(0, 30, {1, 11}, testing::seeded(2), at::kLong);
      for (const auto make : {random_tensor, testing::hostile_tensor}) {
        const at::Tensor x = make({1, 11, 3, dim}, dtype, 5);
        EXPECT_TRUE(testing::same_on_all_isas([&] {
          return std::vector<at::Tensor>{ops::rope(x, table.cos, table.sin, positions, false),
                                         ops::rope(x, table.cos, table.sin, positions, true)};
        }));
      }
    }
  }
}

TEST(Rope, TheGradientIsTheInverseRotation) {
  const Table table = make_table(16, 8);
  const at::Tensor x = random_tensor({1, 16, 2, 8}, at::kFloat, 6).requires_grad_();
  const at::Tensor positions = at::arange(16, at::kLong).unsqueeze(0);
  const at::Tensor dy = random_tensor({1, 16, 2, 8}, at::kFloat, 7);
  ops::rope(x, table.cos, table.sin, positions, false).backward(dy);
  EXPECT_TRUE(same_bits(x.grad(), ops::rope(dy, table.cos, table.sin, positions, true)));
  const at::Tensor wide = x.detach().to(at::kDouble).requires_grad_();
  rotated_in_double(wide, table, positions).backward(dy.to(at::kDouble));
  EXPECT_LT(testing::largest_error(x.grad(), wide.grad(), 1.0), 2 * 0x1p-23);
  EXPECT_FALSE(same_bits(x.grad(), ops::rope(dy, table.cos, table.sin, positions, false)));
}

TEST(Rope, NamesAPositionOutsideTheTable) {
  const Table table = make_table(4, 8);
  const at::Tensor x = at::ones({1, 2, 1, 8});
  for (const int64_t bad : {int64_t{4}, int64_t{-1}}) {
    const at::Tensor positions = at::tensor({int64_t{3}, bad}).unsqueeze(0);
    try {
      ops::rope(x, table.cos, table.sin, positions, false);
      ADD_FAILURE() << "position " << bad << " was accepted";
    } catch (const c10::Error& error) {
      EXPECT_THAT(error.what_without_backtrace(),
                  ::testing::HasSubstr("token 1 has position " + std::to_string(bad)));
    }
  }
}

}  // namespace
}  // namespace samebits
