#include "harness/kernels/residual_add.h"

#include <gtest/gtest.h>

#include "harness/kernels/functional.h"
#include "tests/kernels/tensors.h"

namespace samebits {
namespace {

using testing::kDtypes;
using testing::random_tensor;
using testing::same_bits;

TEST(ResidualAdd, IsTheFloatSumRoundedOnce) {
  for (const auto dtype : kDtypes) {
    const at::Tensor x = random_tensor({1, 9, 50}, dtype, 1);
    const at::Tensor y = random_tensor({1, 9, 50}, dtype, 2);
    const at::Tensor sum = ops::residual_add(x, y);
    EXPECT_TRUE(same_bits(sum, (x.to(at::kFloat) + y.to(at::kFloat)).to(dtype)));
    EXPECT_FALSE(same_bits(sum, (x.to(at::kFloat) - y.to(at::kFloat)).to(dtype)));
  }
}

TEST(ResidualAdd, IsTheSameOnAllIsas) {
  for (const auto dtype : kDtypes) {
    const at::Tensor x = testing::hostile_tensor({3, 4099}, dtype, 3);
    const at::Tensor y = testing::hostile_tensor({3, 4099}, dtype, 4);
    EXPECT_TRUE(testing::same_on_all_isas(
        [&] { return std::vector<at::Tensor>{ops::residual_add(x, y)}; }));
  }
}

TEST(ResidualAdd, BothGradientsAreTheOutputs) {
  const at::Tensor x = at::ones({4}).requires_grad_();
  const at::Tensor y = at::ones({4}).requires_grad_();
  const at::Tensor dy = random_tensor({4}, at::kFloat, 5);
  ops::residual_add(x, y).backward(dy);
  EXPECT_TRUE(same_bits(x.grad(), dy));
  EXPECT_TRUE(same_bits(y.grad(), dy));
}

TEST(ResidualAdd, DoesNotBroadcast) {
  EXPECT_THROW(ops::residual_add(at::ones({2, 3}), at::ones({3})), c10::Error);
}

}  // namespace
}  // namespace samebits
