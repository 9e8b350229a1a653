#include "harness/kernels/log_softmax.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "harness/kernels/cpu/math.h"
#include "harness/kernels/functional.h"
#include "tests/kernels/tensors.h"

namespace samebits {
namespace {

using testing::kDtypes;
using testing::random_tensor;
using testing::same_bits;

at::Tensor random_targets(int64_t rows, int64_t vocab) {
  return at::randint(0, vocab, {rows}, testing::seeded(99), at::kLong);
}

// The contract's words, one scalar at a time. `lanes` is the number of partial sums.
at::Tensor lse_by_the_letter(const at::Tensor& logits, int64_t vocab, int64_t lanes) {
  const at::Tensor x = logits.to(at::kFloat);
  at::Tensor lse = at::empty({x.size(0)});
  for (int64_t row = 0; row < x.size(0); ++row) {
    const float* in = x.const_data_ptr<float>() + row * x.size(1);
    float m = -INFINITY;
    for (int64_t i = 0; i < vocab; ++i) m = std::max(m, in[i]);
    std::vector<float> partial(static_cast<size_t>(lanes), 0.0f);
    for (int64_t i = 0; i < vocab; ++i) partial[i % lanes] += exp_f32(in[i] - m);
    for (int64_t width = lanes / 2; width > 0; width /= 2) {
      for (int64_t lane = 0; lane < width; ++lane) partial[lane] += partial[lane + width];
    }
    lse.mutable_data_ptr<float>()[row] = m + log_f32(partial[0]);
  }
  return lse;
}

at::Tensor gathered(const at::Tensor& table, const at::Tensor& targets) {
  return table.gather(1, targets.unsqueeze(1)).squeeze(1);
}

TEST(LogSoftmaxGather, FollowsItsContractToTheBit) {
  for (const auto dtype : kDtypes) {
    for (const int64_t vocab : {1, 255, 256, 257, 1003}) {
      const at::Tensor logits = 3 * random_tensor({6, vocab + 5}, dtype, 1);
      const at::Tensor targets = random_targets(6, vocab);
      auto [logprob, lse] = ops::log_softmax_gather(logits, targets, vocab);
      EXPECT_TRUE(same_bits(lse, lse_by_the_letter(logits, vocab, kSoftmaxLanes)));
      EXPECT_TRUE(same_bits(logprob, gathered(logits, targets).to(at::kFloat) - lse));
    }
  }
}

TEST(LogSoftmaxGather, AnotherOrderOfTheSumHasOtherBits) {
  const at::Tensor logits = random_tensor({200, 1003}, at::kFloat, 2);
  auto [logprob, lse] = ops::log_softmax_gather(logits, random_targets(200, 1003), 1003);
  EXPECT_FALSE(same_bits(lse, lse_by_the_letter(logits, 1003, 1)));
}

TEST(LogSoftmaxGather, IsNearTheExactLogprob) {
  const at::Tensor logits = 3 * random_tensor({20, 5000}, at::kFloat, 3);
  const at::Tensor targets = random_targets(20, 4990);
  const at::Tensor logprob = std::get<0>(ops::log_softmax_gather(logits, targets, 4990));
  const at::Tensor exact =
      gathered(at::log_softmax(logits.slice(1, 0, 4990).to(at::kDouble), 1), targets);
  // lse (about 13) and the difference are rounded: two units of 2^-20, and the sum's few 2^-24.
  EXPECT_LT((logprob - exact).abs().max().item<double>(), 3 * 0x1p-20);
  const at::Tensor with_padding = gathered(at::log_softmax(logits.to(at::kDouble), 1), targets);
  EXPECT_GT((logprob - with_padding).abs().max().item<double>(), 3 * 0x1p-20);
}

TEST(LogSoftmaxGather, ARowDoesNotDependOnItsBatch) {
  const at::Tensor logits = random_tensor({31, 700}, at::kBFloat16, 4);
  const at::Tensor targets = random_targets(31, 690);
  auto [logprob, lse] = ops::log_softmax_gather(logits, targets, 690);
  for (const int64_t row : {0, 13, 30}) {
    auto [alone, alone_lse] =
        ops::log_softmax_gather(logits.slice(0, row, row + 1), targets.slice(0, row, row + 1), 690);
    EXPECT_TRUE(same_bits(alone, logprob.slice(0, row, row + 1)));
    EXPECT_TRUE(same_bits(alone_lse, lse.slice(0, row, row + 1)));
  }
  EXPECT_FALSE(same_bits(logprob.slice(0, 0, 1), logprob.slice(0, 1, 2)));
}

TEST(LogSoftmaxGather, IsTheSameOnAllIsas) {
  for (const auto dtype : kDtypes) {
    for (const auto make : {random_tensor, testing::hostile_tensor}) {
      for (const int64_t vocab : {3, 300, 1003}) {
        const at::Tensor logits = make({40, vocab + 1}, dtype, 5);
        const at::Tensor targets = random_targets(40, vocab);
        const at::Tensor dlogprob = make({40}, at::kFloat, 6);
        EXPECT_TRUE(testing::same_on_all_isas([&] {
          auto [logprob, lse] = ops::log_softmax_gather(logits, targets, vocab);
          return std::vector<at::Tensor>{
              logprob, lse,
              ops::log_softmax_gather_backward(dlogprob, logits, targets, lse, vocab)};
        }));
      }
    }
  }
}

TEST(LogSoftmaxGather, TheGradientIsThatOfTheFormulaAndZeroInThePadding) {
  const at::Tensor logits = random_tensor({9, 70}, at::kFloat, 7).requires_grad_();
  const at::Tensor targets = random_targets(9, 64);
  const at::Tensor dlogprob = random_tensor({9}, at::kFloat, 8);
  std::get<0>(ops::log_softmax_gather(logits, targets, 64)).backward(dlogprob);
  const at::Tensor wide = logits.detach().to(at::kDouble).requires_grad_();
  gathered(at::log_softmax(wide.slice(1, 0, 64), 1), targets).backward(dlogprob.to(at::kDouble));
  EXPECT_LT(testing::largest_error(logits.grad(), wide.grad(), 1.0), 2e-6);
  EXPECT_TRUE(same_bits(logits.grad().slice(1, 64), at::zeros({9, 6})));
  EXPECT_GT(testing::largest_error(logits.grad(), -wide.grad(), 1.0), 1e-2);
}

TEST(LogSoftmaxGather, InfinitiesAndNaNsFollowIeee) {
  const float inf = INFINITY;
  const at::Tensor logits = at::tensor({0.0f, -inf, 1.0f, inf, NAN, 2.0f}).view({3, 2});
  auto [logprob, lse] = ops::log_softmax_gather(logits, at::zeros({3}, at::kLong), 2);
  EXPECT_EQ(lse[0].item<float>(), 0.0f);
  EXPECT_EQ(logprob[0].item<float>(), 0.0f);
  EXPECT_TRUE(std::isnan(lse[1].item<float>()));
  EXPECT_TRUE(std::isnan(logprob[2].item<float>()));
}

TEST(LogSoftmaxGather, NamesATargetOutsideTheVocabulary) {
  const at::Tensor logits = at::zeros({2, 8});
  for (const int64_t bad : {int64_t{7}, int64_t{-1}}) {
    try {
      ops::log_softmax_gather(logits, at::tensor({int64_t{6}, bad}), 7);
      ADD_FAILURE() << "target " << bad << " was accepted";
    } catch (const c10::Error& error) {
      EXPECT_THAT(error.what_without_backtrace(),
                  ::testing::HasSubstr("row 1 has target " + std::to_string(bad)));
    }
  }
}

}  // namespace
}  // namespace samebits
