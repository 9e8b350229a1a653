#include "repro/dtensor_loss_gradient_times_ranks/repro.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/detect/findings.h"
#include "harness/detect/sharded.h"

namespace samebits {
namespace {

using testing::AllOf;
using testing::Each;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

struct LossAndGradient {
  at::Tensor loss, gradient;
};

LossAndGradient at_size(Side side, int64_t ranks, int64_t size) {
  const Subject subject = mean_square_and_gradient(side, ranks);
  const auto out = subject.program(subject.inputs(size));
  return {whole_of(out[0]), whole_of(out[1])};
}

class GradientOfMeanLossTest : public testing::TestWithParam<int64_t> {};

TEST_P(GradientOfMeanLossTest, IsTimesTheRanksBesideTheRightLoss) {
  const int64_t ranks = GetParam();
  const LossAndGradient buggy = at_size(Side::kBuggy, ranks, 2 * ranks);
  const LossAndGradient fixed = at_size(Side::kFixed, ranks, 2 * ranks);
  EXPECT_TRUE(at::equal(buggy.loss, fixed.loss));
  EXPECT_TRUE(at::allclose(buggy.gradient, fixed.gradient * ranks));
}

// What autograd gives on a plain tensor.
TEST_P(GradientOfMeanLossTest, IsAutogradsWhereTheRankIsToldTheCount) {
  const int64_t ranks = GetParam();
  for (const int64_t size : {ranks + 1, 2 * ranks}) {
    const at::Tensor x = at::arange(1, size + 1, at::kFloat).requires_grad_();
    const at::Tensor loss = at::mse_loss(x, at::zeros_like(x));
    loss.backward();
    const LossAndGradient fixed = at_size(Side::kFixed, ranks, size);
    EXPECT_TRUE(at::allclose(fixed.loss, loss));
    EXPECT_TRUE(at::allclose(fixed.gradient, x.grad()));
  }
}

TEST_P(GradientOfMeanLossTest, IsFoundByTheShardDifferential) {
  const int64_t ranks = GetParam();
  EXPECT_THAT(shard_differences(mean_square_and_gradient(Side::kBuggy, ranks)),
              AllOf(Not(IsEmpty()), Each(HasSubstr("mse_loss_backward.of_shard on "))));
  EXPECT_THAT(shard_differences(mean_square_and_gradient(Side::kFixed, ranks)), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Ranks, GradientOfMeanLossTest, testing::Values(2, 3, 4));

TEST(GradientOfMeanLoss, OfUnevenShardsHasAFactorForEachRank) {
  const at::Tensor factors =
      at_size(Side::kBuggy, 2, 3).gradient / at_size(Side::kFixed, 2, 3).gradient;
  EXPECT_TRUE(at::allclose(factors, at::tensor({1.5F, 1.5F, 3.F})));
}

TEST(GradientOfMeanLoss, OfOneRankIsRight) {
  EXPECT_FALSE(run_sharded(mean_square_and_gradient(Side::kBuggy, /*ranks=*/1)).went_wrong);
}

}  // namespace
}  // namespace samebits
