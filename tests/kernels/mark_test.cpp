#include "harness/kernels/mark.h"

#include <gtest/gtest.h>

#include "harness/kernels/functional.h"
#include "tests/kernels/tensors.h"

namespace samebits {
namespace {

TEST(Mark, LeavesTheValueAndItsGradientAlone) {
  const at::Tensor x = testing::random_tensor({5}, at::kFloat, 1).requires_grad_();
  const at::Tensor before = x.detach().clone();
  ops::mark(x, "layers.0");
  EXPECT_TRUE(testing::same_bits(x.detach(), before));
  EXPECT_TRUE(x.is_leaf());
  x.sum().backward();
  EXPECT_TRUE(testing::same_bits(x.grad(), at::ones({5})));
}

}  // namespace
}  // namespace samebits
