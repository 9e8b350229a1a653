// What is common to the gradients of the contract list; each operator's formula is tested beside
// its arithmetic.

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "harness/kernels/functional.h"
#include "harness/kernels/weight_gradient.h"
#include "tests/kernels/gradients.h"
#include "tests/kernels/tensors.h"

namespace samebits {
namespace {

using testing::linear_wgrad;
using testing::random_tensor;
using testing::same_bits;

TEST(Autograd, LinearGivesTheGradientsOfItsOperators) {
  for (const auto out_dtype : {at::kBFloat16, at::kFloat}) {
    const at::Tensor x = random_tensor({1, 5, 32}, at::kBFloat16, 1).requires_grad_();
    const at::Tensor weight = random_tensor({16, 32}, at::kBFloat16, 2).requires_grad_();
    const at::Tensor dy = random_tensor({1, 5, 16}, out_dtype, 3);
    ops::linear(x, weight, 0, /*dgrad_slice=*/4, out_dtype).backward(dy);
    EXPECT_TRUE(same_bits(x.grad(), ops::linear_dgrad(dy, weight, 4).to(at::kBFloat16)));
    EXPECT_TRUE(same_bits(weight.grad(), linear_wgrad(dy, x).to(at::kBFloat16)));
    EXPECT_FALSE(same_bits(weight.grad(), linear_wgrad(dy.flip(1), x).to(at::kBFloat16)));
  }
}

// A float32 gradient of one whole number and a bit, whatever comes back.
struct Unrounded : torch::autograd::Function<Unrounded> {
  static at::Tensor forward(torch::autograd::AutogradContext*, const at::Tensor& x) {
    return x.to(at::kFloat).sum();
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*,
                                                 const torch::autograd::variable_list&) {
    return {at::full({3}, 1 + 0x1p-10)};
  }
};

// Why a sum is an argument of a backward operator and nothing that autograd brings there.
TEST(Autograd, ItselfRoundsAFloat32GradientOfABf16Leaf) {
  const at::Tensor weight = at::ones({3}, at::kBFloat16).requires_grad_();
  const auto gradient = torch::autograd::grad({Unrounded::apply(weight)}, {weight});
  EXPECT_TRUE(same_bits(gradient[0], at::ones({3}, at::kBFloat16)));
}

TEST(Autograd, AGradientIsAddedToItsSumUnroundedAndNoneComesBack) {
  const at::Tensor starts = testing::starts_of({0, 3, 5});
  const at::Tensor x = random_tensor({1, 5, 32}, at::kBFloat16, 1);
  const at::Tensor weight = random_tensor({16, 32}, at::kBFloat16, 2).requires_grad_();
  const at::Tensor norm = random_tensor({16}, at::kBFloat16, 3).requires_grad_();
  const at::Tensor table = random_tensor({9, 32}, at::kBFloat16, 4).requires_grad_();
  const at::Tensor ids = at::arange(5).unsqueeze(0);
  const auto sum_like = [](const at::Tensor& w) { return random_tensor(w.sizes(), at::kFloat, 5); };
  const at::Tensor of_weight = sum_like(weight);
  const at::Tensor of_norm = sum_like(norm);
  const at::Tensor of_table = sum_like(table);
  const at::Tensor embedded = ops::embedding(ids, table, 0, {of_table, starts});
  const at::Tensor h = ops::linear(embedded, weight, 0, 0, at::kBFloat16, {of_weight, starts});
  const at::Tensor y = ops::rms_norm(h, norm, 1e-6, false, {of_norm, starts});
  const at::Tensor dy = random_tensor(y.sizes(), at::kBFloat16, 6);
  const auto gradients =
      torch::autograd::grad({y}, {weight, norm, table}, {dy}, /*retain_graph=*/std::nullopt,
                            /*create_graph=*/false, /*allow_unused=*/true);
  for (const at::Tensor& gradient : gradients) EXPECT_FALSE(gradient.defined());

  const at::NoGradGuard no_grad;
  const at::Tensor dh = ops::rms_norm_dgrad(dy, h, norm, 1e-6);
  const at::Tensor expected_norm = sum_like(norm);
  ops::rms_norm_wgrad_(dy, h, 1e-6, starts, expected_norm);
  const at::Tensor expected_weight = sum_like(weight);
  ops::linear_wgrad_(dh, embedded, starts, expected_weight);
  const at::Tensor expected_table = sum_like(table);
  ops::embedding_wgrad_(ops::linear_dgrad(dh, weight, 0).to(at::kBFloat16), ids, 0, starts,
                        expected_table);
  EXPECT_TRUE(
      same_bits({of_weight, of_norm, of_table}, {expected_weight, expected_norm, expected_table}));
  EXPECT_FALSE(same_bits(of_weight, sum_like(weight)));
}

TEST(Autograd, FlashAttentionGivesTheGradientsOfItsOperator) {
  const at::Tensor q = random_tensor({1, 9, 4, 16}, at::kBFloat16, 1).requires_grad_();
  const at::Tensor k = random_tensor({1, 9, 2, 16}, at::kBFloat16, 2).requires_grad_();
  const at::Tensor v = random_tensor({1, 9, 2, 16}, at::kBFloat16, 3).requires_grad_();
  const at::Tensor cu_seqlens = at::tensor({0, 4, 9}, at::kInt);
  const at::Tensor dout = random_tensor({1, 9, 4, 16}, at::kBFloat16, 4);
  const auto [out, lse] = ops::flash_attention(q, k, v, cu_seqlens, 0.25);
  EXPECT_FALSE(lse.requires_grad());
  out.backward(dout);
  const auto [dq, dk, dv] =
      ops::flash_attention_backward(dout, q, k, v, out.detach(), lse, cu_seqlens, 0.25);
  EXPECT_TRUE(same_bits({q.grad(), k.grad(), v.grad()}, {dq, dk, dv}));
  EXPECT_FALSE(same_bits(k.grad(), v.grad()));
}

TEST(Autograd, ComputesOnlyTheGradientsThatAreAskedFor) {
  const at::Tensor x = random_tensor({3, 8}, at::kFloat, 1).requires_grad_();
  const at::Tensor weight = random_tensor({8}, at::kFloat, 2);
  const at::Tensor y = ops::rms_norm(x, weight, 1e-6, false);
  EXPECT_TRUE(y.requires_grad());
  y.sum().backward();
  EXPECT_TRUE(x.grad().defined());
  EXPECT_FALSE(weight.grad().defined());
  EXPECT_FALSE(ops::rms_norm(x.detach(), weight, 1e-6, false).requires_grad());
  const at::NoGradGuard no_grad;
  EXPECT_FALSE(ops::rms_norm(x, weight, 1e-6, false).requires_grad());
}

TEST(Autograd, ASecondDerivativeIsRefusedNotSilentlyZero) {
  const at::Tensor x = random_tensor({3, 8}, at::kFloat, 1).requires_grad_();
  const at::Tensor y = ops::silu_mul(x, x, false).sum();
  EXPECT_THROW(torch::autograd::grad({y}, {x}, {}, /*retain_graph=*/true, /*create_graph=*/true),
               c10::Error);
  EXPECT_NO_THROW(torch::autograd::grad({y}, {x}));
}

}  // namespace
}  // namespace samebits
