// Forward and backward in one graph: traced below autograd, run without it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "harness/capture/executor.h"
#include "harness/capture/print.h"
#include "harness/dtensor/dtensor.h"
#include "harness/kernels/functional.h"
#include "tests/capture/support.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;

std::shared_ptr<const ir::Graph> traced_jointly(const Program& program, const Tensors& inputs,
                                                const std::vector<DynamicDim>& dims) {
  ShapeEnv env;
  return std::make_shared<const ir::Graph>(
      trace(program, inputs, dims, env, ModeLevel::kBelowAutograd));
}

// x [s, 8] -> rms_norm -> linear [8, 8] -> silu_mul with itself, and the gradients of both weights.
class JointGraphTest : public ::testing::TestWithParam<int> {
 protected:
  JointGraphTest() {
    norm_ = parameter(rows(1, 8).view({8}));
    weight_ = parameter(rows(8, 8));
  }

  at::Tensor parameter(const at::Tensor& whole) const {
    if (!mesh_) return whole.clone().requires_grad_(true);
    return distribute_tensor(whole, mesh_, Placement::replicate()).requires_grad_(true);
  }

  at::Tensor input(int64_t size) const {
    const at::Tensor x = rows(size, 8);
    return mesh_ ? distribute_tensor(x, mesh_, Placement::shard(0)) : x;
  }

  Tensors forward_and_backward(const Tensors& in) const {
    const at::Tensor h = ops::rms_norm(in[0], norm_, 1e-6, false);
    const at::Tensor y = ops::linear(h, weight_, 0, 0, at::kFloat);
    const at::Tensor out = ops::silu_mul(y, y, false);
    const Tensors grads = torch::autograd::grad({out}, {norm_, weight_}, {in[1]});
    return {out.detach(), grads[0], grads[1]};
  }

  Tensors inputs(int64_t size) const { return {input(size), input(size)}; }

  c10::intrusive_ptr<DeviceMesh> mesh_ = GetParam() > 1 ? make_local_mesh(GetParam()) : nullptr;
  at::Tensor norm_;
  at::Tensor weight_;
};

at::Tensor plain(const at::Tensor& x) { return is_dtensor(x) ? full_tensor(x).detach() : x; }

TEST_P(JointGraphTest, ServesEverySizeWithTheBitsOfAutograd) {
  const Program program = [&](const Tensors& in) { return forward_and_backward(in); };
  const auto graph = traced_jointly(program, inputs(6), {{0, 0, "s0", 2}, {1, 0, "s0", 2}});
  // Autograd itself asks whether a size is 1, which the bound decides.
  EXPECT_TRUE(graph->guards.empty()) << to_string(*graph);
  EXPECT_THAT(to_string(*graph), HasSubstr("samebits::silu_mul_backward"));
  Executor executor(graph);
  for (const int64_t size : {2, 3, 5, 6, 9}) {
    const Tensors expected = program(inputs(size));
    const Tensors got = executor.run(inputs(size));
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_TRUE(same_bits(plain(got[i]), plain(expected[i]))) << "output " << i << " at " << size;
    }
  }
}

// The twin: other weights, other gradients, from the same graph.
TEST_P(JointGraphTest, SeesAnotherWeight) {
  const Program program = [&](const Tensors& in) { return forward_and_backward(in); };
  Executor executor(traced_jointly(program, inputs(6), {}));
  const Tensors before = executor.run(inputs(6));
  const at::Tensor other = mesh_ ? locals_of(norm_)[0] : norm_.detach();
  other.mul_(2);
  EXPECT_FALSE(same_bits(plain(executor.run(inputs(6))[2]), plain(before[2])));
}

INSTANTIATE_TEST_SUITE_P(Ranks, JointGraphTest, ::testing::Values(1, 2, 3));

}  // namespace
}  // namespace samebits
