#include "harness/kernels/grpo_loss.h"

#include <gtest/gtest.h>

#include "harness/kernels/functional.h"
#include "tests/kernels/gradients.h"
#include "tests/kernels/tensors.h"

namespace samebits {
namespace {

using testing::random_tensor;
using testing::same_bits;

struct Case {
  at::Tensor logprobs;   // [n]
  at::Tensor reference;  // [n]
  double advantage;
};

constexpr int64_t kSequences = 4;
constexpr int64_t kTokens = 50;
constexpr double kClip = 0.2;
constexpr double kEntropy = 0.01;
constexpr double kKl = 0.1;

// The formula of the workload in LibTorch's operators; autograd differentiates it.
at::Tensor loss_by_formula(const at::Tensor& logprobs, const at::Tensor& reference,
                           double advantage) {
  const at::Tensor d = logprobs.sum() - reference.sum();
  const at::Tensor ratio = d.exp();
  const at::Tensor pg =
      -at::minimum(ratio * advantage, ratio.clamp(1 - kClip, 1 + kClip) * advantage) / kSequences;
  const at::Tensor entropy = -logprobs.sum() / kTokens;
  return pg - kEntropy * entropy + kKl * (ratio - 1 - d) / kSequences;
}

float ascending_sum(const at::Tensor& x) {
  float sum = 0.0f;
  for (int64_t i = 0; i < x.numel(); ++i) sum += x.const_data_ptr<float>()[i];
  return sum;
}

std::tuple<at::Tensor, at::Tensor> loss_of(const Case& c, int64_t tokens = kTokens,
                                           int64_t sequences = kSequences) {
  auto [loss, stats] =
      ops::grpo_loss(c.logprobs, c.reference, testing::starts_of({0, c.logprobs.numel()}),
                     at::full({1}, c.advantage), at::scalar_tensor(tokens, at::kLong), sequences,
                     kClip, kEntropy, kKl);
  return {loss.squeeze(0), stats.squeeze(0)};
}

// Ratios below, inside and above the clamp, advantages of both signs and zero.
std::vector<Case> cases() {
  std::vector<Case> all;
  const at::Tensor reference = -random_tensor({12}, at::kFloat, 1).abs();
  for (const double shift : {-0.05, -0.001, 0.0, 0.001, 0.05}) {
    for (const double advantage : {-0.7, 0.0, 1.9}) {
      all.push_back({reference + shift, reference, advantage});
    }
  }
  return all;
}

TEST(GrpoLoss, IsTheWorkloadsFormula) {
  for (const Case& c : cases()) {
    const at::Tensor exact =
        loss_by_formula(c.logprobs.to(at::kDouble), c.reference.to(at::kDouble), c.advantage);
    const auto [loss, stats] = loss_of(c);
    // d is a difference of sums of about 10, rounded at 2^-20 or so; the loss is of order 1.
    EXPECT_NEAR(loss.item<double>(), exact.item<double>(), 1e-5);
    EXPECT_EQ(stats[0].item<float>(), ascending_sum(c.logprobs));
    EXPECT_EQ(stats[1].item<float>(), ascending_sum(c.reference));
    const at::Tensor other = loss_by_formula(c.logprobs.to(at::kDouble) - 0.01,
                                             c.reference.to(at::kDouble), c.advantage);
    EXPECT_GT(std::abs(loss.item<double>() - other.item<double>()), 1e-5);
  }
}

TEST(GrpoLoss, EqualBitsGiveRatioOneAndNoKl) {
  const at::Tensor logprobs = -random_tensor({20}, at::kFloat, 2).abs();
  const auto [loss, stats] = loss_of({logprobs, logprobs.clone(), 0.5});
  EXPECT_EQ(stats[2].item<float>(), 1.0f);
  EXPECT_EQ(stats[3].item<float>(), -0.5f / kSequences);
  EXPECT_EQ(stats[5].item<float>(), 0.0f);
  at::Tensor moved = logprobs.clone();
  moved[3] += 1e-4;
  EXPECT_NE(std::get<1>(loss_of({moved, logprobs, 0.5}))[2].item<float>(), 1.0f);
}

TEST(GrpoLoss, TheGradientIsAutogradsOfTheFormula) {
  for (const Case& c : cases()) {
    const at::Tensor logprobs = c.logprobs.clone().requires_grad_();
    const at::Tensor dloss = at::full({}, 1.7);
    std::get<0>(loss_of({logprobs, c.reference, c.advantage})).backward(dloss);
    const at::Tensor wide = c.logprobs.to(at::kDouble).requires_grad_();
    loss_by_formula(wide, c.reference.to(at::kDouble), c.advantage).backward(dloss.to(at::kDouble));
    EXPECT_LT((logprobs.grad() - wide.grad()).abs().max().item<double>(), 1e-5);
    EXPECT_GT((logprobs.grad() + wide.grad()).abs().max().item<double>(), 1e-4);
  }
}

TEST(GrpoLoss, TheReferenceAndTheStatsHaveNoGradient) {
  const at::Tensor logprobs = (-at::ones({3})).requires_grad_();
  const at::Tensor reference = (-at::ones({3})).requires_grad_();
  const auto [loss, stats] = loss_of({logprobs, reference, 1.0});
  EXPECT_FALSE(stats.requires_grad());
  loss.backward();
  EXPECT_FALSE(reference.grad().defined());
  EXPECT_TRUE(logprobs.grad().defined());
}

TEST(GrpoLoss, AnEmptyCompletionHasItsAdvantageAsLoss) {
  const at::Tensor nothing = at::empty({0}).requires_grad_();
  const auto [loss, stats] = loss_of({nothing, at::empty({0}), 0.6});
  EXPECT_EQ(loss.item<float>(), -0.6f / kSequences);
  EXPECT_TRUE(same_bits(stats[4], at::zeros({})));
  loss.backward();
  EXPECT_EQ(nothing.grad().numel(), 0);
  const auto no_tokens =
      loss_of({at::empty({0}), at::empty({0}), 0.6}, /*tokens=*/0, /*sequences=*/1);
  EXPECT_EQ(std::get<0>(no_tokens).item<float>(), -0.6f);
}

// The shares and gradients of several sequences are those of each alone, in any order.
TEST(GrpoLoss, SequencesOfOneCallDoNotSeeEachOther) {
  const std::vector<int64_t> starts = {0, 5, 5, 6, 20};
  const at::Tensor logprobs = -random_tensor({20}, at::kFloat, 3).abs();
  const at::Tensor reference = logprobs + random_tensor({20}, at::kFloat, 4) * 0.05;
  const at::Tensor advantages = random_tensor({4}, at::kFloat, 5);
  const at::Tensor dloss = random_tensor({4}, at::kFloat, 6);
  const at::Tensor tokens = at::scalar_tensor(50, at::kLong);
  const auto run = [&](const std::vector<int64_t>& cuts, const at::Tensor& x, const at::Tensor& y,
                       const at::Tensor& advantage, const at::Tensor& gradient) {
    const at::Tensor firsts = testing::starts_of(cuts);
    auto out = testing::list(
        ops::grpo_loss(x, y, firsts, advantage, tokens, kSequences, kClip, kEntropy, kKl));
    out.push_back(ops::grpo_loss_backward(gradient, x, y, firsts, advantage, tokens, kSequences,
                                          kClip, kEntropy, kKl));
    return out;
  };
  const auto all = run(starts, logprobs, reference, advantages, dloss);
  for (int64_t s = 0; s < 4; ++s) {
    const auto tokens_of = [&](const at::Tensor& x) {
      return x.slice(0, starts[s], starts[s + 1]);
    };
    const auto of_sequence = [&](const at::Tensor& x) { return x.slice(0, s, s + 1); };
    EXPECT_TRUE(same_bits(run({0, starts[s + 1] - starts[s]}, tokens_of(logprobs),
                              tokens_of(reference), of_sequence(advantages), of_sequence(dloss)),
                          {of_sequence(all[0]), of_sequence(all[1]), tokens_of(all[2])}))
        << s;
  }
  EXPECT_FALSE(same_bits(run({0, 5, 6, 6, 20}, logprobs, reference, advantages, dloss), all));
  EXPECT_THROW(run({0, 5, 4, 6, 20}, logprobs, reference, advantages, dloss), c10::Error);
  EXPECT_THROW(run({0, 5, 5, 6, 21}, logprobs, reference, advantages, dloss), c10::Error);
}

// Whatever it holds: its own gradient is +0. The control makes it a sequence.
TEST(GrpoLoss, PaddingIsOfNoSequence) {
  const at::Tensor logprobs = -random_tensor({20}, at::kFloat, 3).abs();
  const at::Tensor reference = logprobs + random_tensor({20}, at::kFloat, 4) * 0.05;
  const at::Tensor padding = at::full({3}, NAN);
  const at::Tensor advantages = random_tensor({2}, at::kFloat, 5);
  const at::Tensor dloss = random_tensor({2}, at::kFloat, 6);
  const auto run = [&](const std::vector<int64_t>& cuts, const at::Tensor& x, const at::Tensor& y) {
    const at::Tensor tokens = at::scalar_tensor(20, at::kLong);
    const at::Tensor firsts = testing::starts_of(cuts);
    auto out = testing::list(
        ops::grpo_loss(x, y, firsts, advantages, tokens, kSequences, kClip, kEntropy, kKl));
    out.push_back(ops::grpo_loss_backward(dloss, x, y, firsts, advantages, tokens, kSequences,
                                          kClip, kEntropy, kKl));
    return out;
  };
  std::vector<at::Tensor> expected = run({0, 5, 20}, logprobs, reference);
  expected[2] = at::cat({expected[2], at::zeros({3})});
  const at::Tensor x = at::cat({logprobs, padding}), y = at::cat({reference, padding});
  EXPECT_TRUE(same_bits(run({0, 5, 20}, x, y), expected));
  EXPECT_THROW(run({0, 5, 23}, x, y), c10::Error);  // more than the step's tokens
  EXPECT_FALSE(same_bits(run({0, 5, 19}, x, y), expected));
}

TEST(GrpoLoss, RefusesBadCountsAndShapes) {
  const at::Tensor x = at::zeros({3});
  EXPECT_NO_THROW(loss_of({x, x, 1}, /*tokens=*/3, /*sequences=*/1));
  EXPECT_THROW(loss_of({x, x, 1}, /*tokens=*/3, /*sequences=*/0), c10::Error);
  EXPECT_THROW(loss_of({x, x, 1}, /*tokens=*/2, /*sequences=*/1), c10::Error);
  EXPECT_THROW(loss_of({x, at::zeros({4}), 1}, /*tokens=*/4, /*sequences=*/1), c10::Error);
}

}  // namespace
}  // namespace samebits
