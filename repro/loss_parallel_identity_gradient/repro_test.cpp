#include "repro/loss_parallel_identity_gradient/repro.h"

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

std::vector<at::Tensor> wholes(const Subject& subject, int64_t size) {
  std::vector<at::Tensor> out = subject.program(subject.inputs(size));
  for (at::Tensor& each : out) each = whole_of(each);
  return out;
}

class LossParallelTest : public testing::TestWithParam<int64_t> {};

TEST_P(LossParallelTest, TheSumIsRightAndItsGradientIsTheWeights) {
  const Subject buggy = weighted_logprobs(Side::kBuggy, GetParam());
  const auto got = wholes(buggy, 3);
  const auto expected = wholes(weighted_logprobs(Side::kFixed, GetParam()), 3);
  EXPECT_TRUE(at::allclose(got[0], expected[0]));
  EXPECT_TRUE(at::equal(got[1], whole_of(buggy.inputs(3)[1])));
  EXPECT_FALSE(at::allclose(got[1], expected[1]));
}

// Against autograd on plain tensors: a gradient by logits sums to nothing in each row.
TEST_P(LossParallelTest, TheFixedSideIsAutogradsAndSumsToNothing) {
  const Subject fixed = weighted_logprobs(Side::kFixed, GetParam());
  const at::Tensor logprobs = whole_of(fixed.inputs(3)[0]);
  const at::Tensor logits = logprobs.clone().requires_grad_();
  at::log_softmax(logits, -1).mul(whole_of(fixed.inputs(3)[1])).sum().backward();
  const at::Tensor gradient = wholes(fixed, 3)[1];
  EXPECT_TRUE(at::allclose(gradient, logits.grad(), /*rtol=*/1e-5, /*atol=*/1e-6));
  EXPECT_TRUE(at::allclose(gradient.sum(-1), at::zeros({3}), /*rtol=*/0, /*atol=*/1e-5));
}

// What the shortcut was made for, so tests of cross entropy pass.
TEST_P(LossParallelTest, CrossEntropyIsRightOnBothSides) {
  const auto gradient = [](Side side) {
    return wholes(cross_entropy_gradient(side, GetParam()), 3)[0];
  };
  EXPECT_TRUE(at::allclose(gradient(Side::kBuggy), gradient(Side::kFixed), 1e-5, 1e-6));
  const at::Tensor logits =
      whole_of(cross_entropy_gradient(Side::kFixed, GetParam()).inputs(3)[0]).requires_grad_();
  at::cross_entropy_loss(logits, at::full({3}, 2, at::kLong), {}, at::Reduction::Sum).backward();
  EXPECT_TRUE(at::allclose(gradient(Side::kFixed), logits.grad(), 1e-5, 1e-6));
}

TEST_P(LossParallelTest, IsFoundByTheShardDifferential) {
  EXPECT_THAT(shard_differences(weighted_logprobs(Side::kBuggy, GetParam())),
              AllOf(Not(IsEmpty()), Each(HasSubstr("log_softmax_backward.loss_parallel on "))));
  EXPECT_THAT(shard_differences(weighted_logprobs(Side::kFixed, GetParam())), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Ranks, LossParallelTest, testing::Values(2, 3, 4));

}  // namespace
}  // namespace samebits
