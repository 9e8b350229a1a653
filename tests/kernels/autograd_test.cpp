// What is common to the gradients of the contract list; each operator's formula is tested beside
// its arithmetic.

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "harness/kernels/functional.h"
#include "tests/kernels/tensors.h"

namespace samebits {
namespace {

using testing::random_tensor;
using testing::same_bits;

TEST(Autograd, LinearGivesTheGradientsOfItsOperators) {
  for (const auto out_dtype : {at::kBFloat16, at::kFloat}) {
    const at::Tensor x = random_tensor({1, 5, 32}, at::kBFloat16, 1).requires_grad_();
    const at::Tensor weight = random_tensor({16, 32}, at::kBFloat16, 2).requires_grad_();
    const at::Tensor dy = random_tensor({1, 5, 16}, out_dtype, 3);
    ops::linear(x, weight, 0, /*dgrad_slice=*/4, out_dtype).backward(dy);
    EXPECT_TRUE(same_bits(x.grad(), ops::linear_dgrad(dy, weight, 4).to(at::kBFloat16)));
    EXPECT_TRUE(same_bits(weight.grad(), ops::linear_wgrad(dy, x)));
    EXPECT_FALSE(same_bits(weight.grad(), ops::linear_wgrad(dy.flip(1), x)));
  }
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
