// Gradients through small programs on DTensors against the same programs on plain tensors.

#include <gmock/gmock.h>
#include <torch/csrc/autograd/autograd.h>

#include "harness/kernels/functional.h"
#include "tests/dtensor/support.h"

namespace samebits {
namespace {

using namespace testing_support;

class AutogradTest : public testing::TestWithParam<int64_t> {
 protected:
  void SetUp() override { at::manual_seed(7); }

  at::Tensor leaf(const at::Tensor& whole, Placement placement) const {
    return distribute_tensor(whole, mesh_, placement).requires_grad_(true);
  }

  const c10::intrusive_ptr<DeviceMesh> mesh_ = make_local_mesh(GetParam());
};
INSTANTIATE_TEST_SUITE_P(Ranks, AutogradTest, testing::Values(1, 2, 3, 4, 8));

at::Tensor plain_leaf(const at::Tensor& whole) { return whole.clone().requires_grad_(true); }

// Column- then row-parallel, as a feed-forward block: all the words of the plan in one program.
TEST_P(AutogradTest, FeedForwardBlock) {
  const at::Tensor x = whole_numbers({1, 5, 6});
  const at::Tensor w1 = whole_numbers({8, 6});
  const at::Tensor w2 = whole_numbers({6, 8});

  const at::Tensor px = plain_leaf(x), pw1 = plain_leaf(w1), pw2 = plain_leaf(w2);
  const at::Tensor py = ops::residual_add(
      px, ops::linear(ops::linear(px, pw1, 0, 0, at::kFloat), pw2, 0, 0, at::kFloat));
  (py * py).sum().backward();

  const at::Tensor dx = leaf(x, Placement::shard(1));
  const at::Tensor dw1 = leaf(w1, Placement::shard(0));
  const at::Tensor dw2 = leaf(w2, Placement::shard(1));
  const at::Tensor h = ops::linear(redistribute(dx, Placement::replicate()), dw1, 0, 0, at::kFloat);
  EXPECT_EQ(spec_of(h).placement(), Placement::shard(2));
  const at::Tensor pending = ops::linear(h, dw2, 0, 0, at::kFloat);
  EXPECT_TRUE(spec_of(pending).placement().is_partial());
  const at::Tensor dy = ops::residual_add(dx, redistribute(pending, Placement::shard(1)));
  EXPECT_TRUE(same_value(dy, py));
  (dy * dy).sum().backward();

  EXPECT_TRUE(same_value(dx.grad(), px.grad()));
  EXPECT_TRUE(same_value(dw1.grad(), pw1.grad()));
  EXPECT_TRUE(same_value(dw2.grad(), pw2.grad()));
  // Gradients lie as what they are gradients of.
  EXPECT_EQ(spec_of(dx.grad()).placement(), Placement::shard(1));
  EXPECT_EQ(spec_of(dw1.grad()).placement(), Placement::shard(0));
  EXPECT_EQ(spec_of(dw2.grad()).placement(), Placement::shard(1));
}

TEST_P(AutogradTest, AccumulatesOverTwoBackwards) {
  const at::Tensor x = whole_numbers({5, 4});
  const at::Tensor plain = plain_leaf(x);
  const at::Tensor sharded = leaf(x, Placement::shard(0));
  const at::Tensor replicated = leaf(x, Placement::replicate());
  for (int i = 0; i < 3; ++i) {
    for (const at::Tensor& t : {plain, sharded, replicated}) ((t * t) + t).sum().backward();
  }
  EXPECT_TRUE(same_value(sharded.grad(), plain.grad()));
  EXPECT_TRUE(same_value(replicated.grad(), plain.grad()));
  EXPECT_FALSE(same_value(sharded.grad(), plain.grad() * 2))
      << "the comparison must see a sum too few";
}

TEST_P(AutogradTest, ThroughLocalTensors) {
  const at::Tensor x = whole_numbers({1, 5, 8});
  const at::Tensor plain = plain_leaf(x);
  (plain * plain * 3).sum().backward();

  const at::Tensor sharded = leaf(x, Placement::shard(2));
  std::vector<at::Tensor> outs;
  for (const at::Tensor& local : to_local(sharded)) outs.push_back(local * local);
  const at::Tensor joined = from_local(outs, mesh_, Placement::shard(-1));
  (full_tensor(joined) * 3).sum().backward();
  EXPECT_TRUE(same_value(sharded.grad(), plain.grad()));
}

TEST_P(AutogradTest, AMissingLocalGradientIsZero) {
  const at::Tensor sharded = leaf(at::ones({8}), Placement::shard(0));
  to_local(sharded)[0].sum().backward();
  const at::Tensor grad = full_tensor(sharded.grad());
  const int64_t first = (8 + GetParam() - 1) / GetParam();
  EXPECT_TRUE(same_bits(grad, at::cat({at::ones({first}), at::zeros({8 - first})})));
}

// The operators that a bf16 model without the contract uses, forward and backward.
TEST_P(AutogradTest, PlainNumerics) {
  const at::Tensor x = whole_numbers({1, 5, 8});
  const at::Tensor w = whole_numbers({8, 8});
  const auto program = [](const at::Tensor& a, const at::Tensor& weight) {
    const at::Tensor h = at::linear(a, weight).view({1, a.size(1), 4, 2});
    const std::vector<at::Tensor> halves = h.chunk(2, -1);
    const at::Tensor y = at::cat({halves[1] * 2 - halves[0], halves[0]}, -1);
    return y.transpose(1, 2).contiguous().view({1, 4, -1}).narrow(1, 1, 2);
  };
  const at::Tensor px = plain_leaf(x), pw = plain_leaf(w);
  const at::Tensor py = program(px, pw);
  (py * py).sum().backward();
  for (const Placement a : {Placement::shard(1), Placement::shard(2), Placement::replicate()}) {
    for (const Placement b : {Placement::shard(0), Placement::shard(1), Placement::replicate()}) {
      const at::Tensor dx = leaf(x, a), dw = leaf(w, b);
      const at::Tensor dy = program(dx, dw);
      EXPECT_TRUE(same_value(dy, py)) << a << b;
      (dy * dy).sum().backward();
      EXPECT_TRUE(same_value(dx.grad(), px.grad())) << a << b;
      EXPECT_TRUE(same_value(dw.grad(), pw.grad())) << a << b;
    }
  }
}

TEST_P(AutogradTest, PlainNorm) {
  const at::Tensor x = at::randn({1, 6, 8});
  const at::Tensor w = at::randn({8});
  const at::Tensor px = plain_leaf(x), pw = plain_leaf(w);
  at::silu(at::rms_norm(px, {8}, pw, 1e-6)).backward(at::ones({1, 6, 8}));
  const at::Tensor dx = leaf(x, Placement::shard(1)), dw = leaf(w, Placement::replicate());
  const at::Tensor y = at::silu(at::rms_norm(dx, {8}, dw, 1e-6));
  y.backward(at::ones_like(y));
  // LibTorch's own kernels: what they give an element depends on its place among the others.
  EXPECT_TRUE(at::allclose(full_tensor(dx.grad()), px.grad()));
  EXPECT_TRUE(at::allclose(full_tensor(dw.grad()), pw.grad()));
  EXPECT_FALSE(at::allclose(full_tensor(dw.grad()), pw.grad() * 1.001));
  EXPECT_EQ(spec_of(dx.grad()).placement(), Placement::shard(1));
}

// As the model picks the rows whose logits are wanted.
TEST_P(AutogradTest, PickedRows) {
  const at::Tensor x = whole_numbers({1, 5, 4});
  const at::Tensor rows = at::tensor({1, 4}, at::kLong);
  const at::Tensor plain = plain_leaf(x);
  (plain.index_select(1, rows) * 3).sum().backward();
  for (const Placement a : {Placement::shard(1), Placement::shard(2), Placement::replicate()}) {
    const at::Tensor laid = leaf(x, a);
    full_tensor(laid.index_select(1, rows) * 3).sum().backward();
    EXPECT_TRUE(same_value(laid.grad(), plain.grad())) << a;
  }
}

TEST(Autograd, LocalsCarryNoHistory) {
  const auto mesh = make_local_mesh(2);
  const at::Tensor a = at::ones({2}).requires_grad_(true);
  const at::Tensor x = from_local({a * 2, a * 3}, mesh, Placement::shard(0));
  EXPECT_TRUE(x.requires_grad());
  for (const at::Tensor& local : locals_of(x)) EXPECT_FALSE(local.requires_grad());
  for (const at::Tensor& local : to_local(x)) EXPECT_TRUE(local.requires_grad());
  for (const at::Tensor& local : locals_of(x)) EXPECT_FALSE(local.requires_grad());
  EXPECT_FALSE(x.detach().requires_grad());
}

}  // namespace
}  // namespace samebits
