#include "harness/kernels/sum_squares.h"

#include <gtest/gtest.h>

#include "harness/kernels/functional.h"
#include "tests/kernels/tensors.h"

namespace samebits {
namespace {

using testing::kDtypes;
using testing::random_tensor;
using testing::same_bits;

// The pairwise tree over scalars.
at::Tensor tree(std::vector<at::Tensor> values) {
  while (values.size() > 1) {
    std::vector<at::Tensor> next;
    for (size_t i = 0; i + 1 < values.size(); i += 2) next.push_back(values[i] + values[i + 1]);
    if (values.size() % 2 == 1) next.push_back(values.back());
    values = next;
  }
  return values[0];
}

// The contract's words for one slice of float32 values.
at::Tensor slice_by_the_letter(const at::Tensor& slice, int64_t lanes) {
  std::vector<at::Tensor> blocks;
  for (const at::Tensor& block : slice.contiguous().view({-1}).split(kSumSquaresBlock)) {
    std::vector<float> partial(static_cast<size_t>(lanes), 0.0f);
    const at::Tensor values = block.to(at::kFloat);
    for (int64_t i = 0; i < values.numel(); ++i) {
      const float x = values.const_data_ptr<float>()[i];
      partial[i % lanes] += x * x;
    }
    for (int64_t width = lanes / 2; width > 0; width /= 2) {
      for (int64_t lane = 0; lane < width; ++lane) partial[lane] += partial[lane + width];
    }
    blocks.push_back(at::full({}, partial[0]));
  }
  return tree(blocks);
}

TEST(SumSquares, FollowsItsContractToTheBit) {
  for (const auto dtype : kDtypes) {
    for (const int64_t columns : {3, 1000, 9000}) {
      const at::Tensor x = random_tensor({11, columns}, dtype, 1);
      EXPECT_TRUE(same_bits(ops::sum_squares(x, 0, 0), slice_by_the_letter(x, kSumSquaresLanes)));
      for (const int64_t dim : {0, 1}) {
        const int64_t slice = dim == 0 ? 2 : columns / 3;
        std::vector<at::Tensor> slices;
        for (const at::Tensor& part : x.split(slice, dim)) {
          slices.push_back(slice_by_the_letter(part, kSumSquaresLanes));
        }
        EXPECT_TRUE(same_bits(ops::sum_squares(x, dim, slice), tree(slices)));
      }
    }
  }
}

TEST(SumSquares, AnotherOrderHasOtherBits) {
  const at::Tensor x = random_tensor({64, 1000}, at::kFloat, 2);
  EXPECT_FALSE(same_bits(ops::sum_squares(x, 0, 0), slice_by_the_letter(x, 1)));
}

TEST(SumSquares, AlignedShardsCombineToTheBitsOfTheWhole) {
  for (const int64_t dim : {0, 1}) {
    const at::Tensor x = random_tensor({64, 80}, at::kBFloat16, 3);
    const int64_t slice = x.size(dim) / 8;
    const at::Tensor whole = ops::sum_squares(x, dim, slice);
    for (const int64_t shards : {2, 4, 8}) {
      std::vector<at::Tensor> sums;
      for (const at::Tensor& shard : x.chunk(shards, dim)) {
        sums.push_back(ops::sum_squares(shard, dim, slice));
      }
      EXPECT_TRUE(same_bits(tree(sums), whole));
    }
  }
}

TEST(SumSquares, ShardsThatCutElsewhereDoNotCombine) {
  int differences = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const at::Tensor x = random_tensor({64, 80}, at::kFloat, seed);
    const at::Tensor whole = ops::sum_squares(x, 0, 8);
    const at::Tensor uneven =
        ops::sum_squares(x.slice(0, 0, 20), 0, 8) + ops::sum_squares(x.slice(0, 20, 64), 0, 8);
    differences += same_bits(whole, uneven) ? 0 : 1;
  }
  EXPECT_GT(differences, 0);
}

TEST(SumSquares, IsTheSameOnAllIsas) {
  for (const auto dtype : kDtypes) {
    for (const auto make : {random_tensor, testing::hostile_tensor}) {
      const at::Tensor x = make({7, 5003}, dtype, 4);
      EXPECT_TRUE(testing::same_on_all_isas([&] {
        return std::vector<at::Tensor>{ops::sum_squares(x, 0, 0), ops::sum_squares(x, 0, 2),
                                       ops::sum_squares(x, 1, 100)};
      }));
    }
  }
}

TEST(SumSquares, NothingIsZeroAndBadSlicesAreRefused) {
  EXPECT_TRUE(same_bits(ops::sum_squares(at::empty({0, 3}), 0, 0), at::zeros({})));
  EXPECT_TRUE(same_bits(ops::sum_squares(at::empty({0, 3}), 0, 2), at::zeros({})));
  EXPECT_THROW(ops::sum_squares(at::ones({3}), 0, -1), c10::Error);
  EXPECT_THROW(ops::sum_squares(at::ones({3}), 1, 2), c10::Error);
}

}  // namespace
}  // namespace samebits
