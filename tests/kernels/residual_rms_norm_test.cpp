#include "harness/kernels/residual_rms_norm.h"

#include <gtest/gtest.h>

#include "harness/kernels/functional.h"
#include "tests/kernels/tensors.h"

namespace samebits {
namespace {

using testing::kDtypes;
using testing::same_bits;

constexpr double kEps = 1e-6;

std::vector<at::Tensor> fused(const at::Tensor& x, const at::Tensor& y, const at::Tensor& weight) {
  const auto [sum, normed] = ops::residual_rms_norm(x, y, weight, kEps);
  return {sum, normed};
}

TEST(ResidualRmsNorm, HasTheBitsOfTheTwoOperators) {
  for (const auto dtype : kDtypes) {
    for (const int64_t dim : {1, 15, 64, 100, 1024}) {
      const at::Tensor x = testing::hostile_tensor({37, dim}, dtype, 1);
      const at::Tensor y = testing::random_tensor({37, dim}, dtype, 2);
      const at::Tensor weight = testing::random_tensor({dim}, dtype, 3);
      const at::Tensor sum = ops::residual_add(x, y);
      EXPECT_TRUE(same_bits(fused(x, y, weight),
                            {sum, ops::rms_norm(sum, weight, kEps, /*fused_rounding=*/false)}));
    }
  }
}

// What a fusion that keeps the sum in float32 would give.
TEST(ResidualRmsNorm, ADroppedRoundingHasOtherBits) {
  const at::Tensor x = testing::random_tensor({37, 256}, at::kBFloat16, 1);
  const at::Tensor y = testing::random_tensor({37, 256}, at::kBFloat16, 2);
  const at::Tensor weight = testing::random_tensor({256}, at::kBFloat16, 3);
  const at::Tensor unrounded = x.to(at::kFloat) + y.to(at::kFloat);
  const at::Tensor normed = ops::rms_norm(unrounded, weight.to(at::kFloat), kEps, false);
  EXPECT_FALSE(same_bits(fused(x, y, weight)[1], normed.to(at::kBFloat16)));
}

TEST(ResidualRmsNorm, IsTheSameOnAllIsas) {
  for (const auto dtype : kDtypes) {
    const at::Tensor x = testing::hostile_tensor({5, 517}, dtype, 3);
    const at::Tensor y = testing::hostile_tensor({5, 517}, dtype, 4);
    const at::Tensor weight = testing::random_tensor({517}, dtype, 5);
    EXPECT_TRUE(testing::same_on_all_isas([&] { return fused(x, y, weight); }));
  }
}

TEST(ResidualRmsNorm, ARowDependsOnItselfAlone) {
  for (const auto dtype : kDtypes) {
    const at::Tensor x = testing::random_tensor({64, 96}, dtype, 6);
    const at::Tensor y = testing::random_tensor({64, 96}, dtype, 7);
    const at::Tensor weight = testing::random_tensor({96}, dtype, 8);
    const auto all = fused(x, y, weight);
    for (const int64_t row : {0, 31, 63}) {
      const auto alone = fused(x.narrow(0, row, 1), y.narrow(0, row, 1), weight);
      EXPECT_TRUE(same_bits(alone, {all[0].narrow(0, row, 1), all[1].narrow(0, row, 1)}));
    }
  }
}

TEST(ResidualRmsNorm, TakesEmptyBatchesAndRefusesOtherShapes) {
  EXPECT_EQ(fused(at::ones({0, 4}), at::ones({0, 4}), at::ones({4}))[1].numel(), 0);
  EXPECT_THROW(fused(at::ones({2, 3}), at::ones({3}), at::ones({3})), c10::Error);
  EXPECT_THROW(fused(at::ones({2, 3}), at::ones({2, 3}), at::ones({2})), c10::Error);
}

}  // namespace
}  // namespace samebits
