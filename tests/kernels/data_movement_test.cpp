// Copies, lookups, conversions and sums against LibTorch's own.

#include "harness/kernels/cpu/data_movement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/kernels/tensors.h"

namespace samebits {
namespace {

using testing::hostile_tensor;
using testing::kDtypes;
using testing::random_tensor;
using testing::same_bits;

// Hostile bits, NaNs aside: those of a computed NaN are the contract's, not LibTorch's.
at::Tensor hostile_numbers(at::IntArrayRef sizes, at::ScalarType dtype, uint64_t seed) {
  return hostile_tensor(sizes, dtype, seed).nan_to_num(1.0, INFINITY, -INFINITY);
}

TEST(DataMovementTest, CopyTakesAnyStrides) {
  std::mt19937_64 random(1);
  for (int trial = 0; trial < 50; ++trial) {
    std::vector<int64_t> sizes(1 + random() % 4), order(sizes.size());
    for (size_t d = 0; d < sizes.size(); ++d) {
      sizes[d] = 1 + static_cast<int64_t>(random() % 4);
      order[d] = static_cast<int64_t>(d);
    }
    std::shuffle(order.begin(), order.end(), random);
    const at::ScalarType dtype = trial % 2 == 0 ? at::kBFloat16 : at::kLong;
    at::Tensor from = at::randint(0, 100, sizes, testing::seeded(trial), at::kLong).to(dtype);
    from = at::cat({from, from}, 0).slice(0, trial % 2, std::nullopt, 2).permute(order);
    at::Tensor to = at::full({2, from.numel()}, -1, dtype)[1].view(from.sizes());
    launch_copy(to, from);
    EXPECT_TRUE(same_bits(to, from)) << trial;
    const at::Tensor transposed = at::empty(from.sizes(), dtype).transpose(0, -1);
    const at::Tensor back = from.transpose(0, -1);
    launch_copy(transposed.transpose(0, -1).transpose(0, -1), back.contiguous());
    EXPECT_TRUE(same_bits(transposed, back)) << trial;
  }
  EXPECT_THROW(launch_copy(at::ones({2}), at::ones({3})), c10::Error);
  EXPECT_THROW(launch_copy(at::ones({2}), at::ones({2}, at::kLong)), c10::Error);
}

TEST(DataMovementTest, IndexSelectAlongEveryDimension) {
  const at::Tensor x = hostile_tensor({3, 4, 5}, at::kBFloat16, 1);
  const at::Tensor index = at::tensor({int64_t{2}, int64_t{0}, int64_t{2}, int64_t{1}});
  for (const int64_t dim : {0, 1, 2}) {
    const at::Tensor expected = x.index_select(dim, index);
    const at::Tensor found = at::empty_like(expected);
    launch_index_select(found, x, dim, index);
    EXPECT_TRUE(same_bits(found, expected)) << dim;
  }
  const at::Tensor one = at::ones({1, 4}).as_strided({1, 4}, {999, 1});
  const at::Tensor twice = at::empty({2, 4});
  launch_index_select(twice, one, 0, at::zeros({2}, at::kLong));
  EXPECT_TRUE(same_bits(twice, at::ones({2, 4})));
  EXPECT_THROW(launch_index_select(twice, at::empty({0, 4}), 0, at::zeros({2}, at::kLong)),
               c10::Error);
  const at::Tensor to = at::empty({1, 4, 5}, at::kBFloat16);
  for (const int64_t bad : {-1, 3}) {
    EXPECT_THROW(launch_index_select(to, x, 0, at::full({1}, bad, at::kLong)), c10::Error);
  }
}

TEST(DataMovementTest, CastRoundsAsLibTorchDoes) {
  const at::Tensor x = hostile_numbers({1000}, at::kFloat, 1);
  const at::Tensor narrow = at::empty({1000}, at::kBFloat16);
  launch_cast(narrow, x);
  EXPECT_TRUE(same_bits(narrow, x.to(at::kBFloat16)));
  EXPECT_FALSE(same_bits(narrow.to(at::kFloat), x));  // it does round
  const at::Tensor wide = at::empty({1000}, at::kFloat);
  launch_cast(wide, narrow);
  EXPECT_TRUE(same_bits(wide, narrow.to(at::kFloat)));
  EXPECT_THROW(launch_cast(at::empty({2}, at::kLong), at::ones({2}, at::kBFloat16)), c10::Error);
}

TEST(DataMovementTest, AddRoundsAsLibTorchDoes) {
  for (const at::ScalarType dtype : kDtypes) {
    for (const int64_t size : {1, 7, 64, 1003}) {
      const at::Tensor a = random_tensor({size}, dtype, 1);
      const at::Tensor b = hostile_numbers({size}, dtype, 2);
      const at::Tensor sum = at::empty({size}, dtype);
      launch_add(sum, a, b);
      EXPECT_TRUE(same_bits(sum, a + b)) << dtype << ' ' << size;
    }
  }
}

TEST(DataMovementTest, IndexAddAlongEveryDimension) {
  const at::Tensor index = at::tensor({int64_t{2}, int64_t{0}, int64_t{2}, int64_t{1}});
  for (const at::ScalarType dtype : kDtypes) {
    for (const int64_t dim : {0, 1, 2}) {
      const at::Tensor x = random_tensor({3, 4, 5}, dtype, 1);
      std::vector<int64_t> sizes = x.sizes().vec();
      sizes[dim] = index.numel();
      const at::Tensor from = hostile_numbers(sizes, dtype, 2);
      const at::Tensor found = x.clone();
      launch_index_add(found, dim, index, from);
      const auto without_nans = [](const at::Tensor& sum) {
        return sum.nan_to_num(7.0, INFINITY, -INFINITY);
      };
      EXPECT_TRUE(same_bits(without_nans(found), without_nans(x.index_add(dim, index, from))))
          << dtype << ' ' << dim;
      EXPECT_FALSE(same_bits(found, x));
    }
  }
  const at::Tensor to = at::zeros({2, 3});
  for (const int64_t bad : {-1, 2}) {
    EXPECT_THROW(launch_index_add(to, 0, at::full({1}, bad, at::kLong), at::ones({1, 3})),
                 c10::Error);
  }
  EXPECT_THROW(launch_index_add(to, 0, at::zeros({2}, at::kLong), at::ones({1, 3})), c10::Error);
}

TEST(DataMovementTest, OnesAreOnes) {
  for (const at::ScalarType dtype : kDtypes) {
    const at::Tensor x = random_tensor({7}, dtype, 1);
    launch_ones(x);
    EXPECT_TRUE(same_bits(x, at::ones({7}, dtype)));
  }
}

TEST(DataMovementTest, ZeroIsPositive) {
  const at::Tensor x = at::full({3}, -0.0f);
  EXPECT_FALSE(same_bits(x, at::zeros({3})));
  launch_zero(x);
  EXPECT_TRUE(same_bits(x, at::zeros({3})));
}

}  // namespace
}  // namespace samebits
