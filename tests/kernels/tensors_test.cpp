// The yardsticks themselves: what same_bits and same_on_all_isas must see.

#include "tests/kernels/tensors.h"

#include <gtest/gtest.h>

namespace samebits::testing {
namespace {

TEST(SameBits, SeesOneBitOfOneElement) {
  const at::Tensor a = random_tensor({3, 5}, at::kFloat, 1);
  at::Tensor b = a.clone();
  EXPECT_TRUE(same_bits(a, b));
  b.view(at::kInt).view({-1})[7].bitwise_xor_(1);
  EXPECT_FALSE(same_bits(a, b));
}

TEST(SameBits, TellsZerosAndNaNsApart) {
  const at::Tensor zero = at::zeros({1});
  EXPECT_FALSE(same_bits(zero, -zero));
  const at::Tensor nan = at::full({1}, 0x7fffffff, at::kInt).view(at::kFloat);
  const at::Tensor other = at::full({1}, 0x7fc00000, at::kInt).view(at::kFloat);
  EXPECT_TRUE(same_bits(nan, nan.clone()));
  EXPECT_FALSE(same_bits(nan, other));
}

TEST(SameBits, TellsShapesAndDtypesApart) {
  EXPECT_FALSE(same_bits(at::zeros({2, 3}), at::zeros({3, 2})));
  EXPECT_FALSE(same_bits(at::zeros({2}), at::zeros({2}, at::kInt)));
}

TEST(SameOnAllIsas, SeesAResultThatDependsOnTheIsa) {
  if (supported_isas().size() < 2) GTEST_SKIP() << "this processor has the portable kernels only";
  EXPECT_FALSE(same_on_all_isas(
      [] { return std::vector<at::Tensor>{at::full({1}, static_cast<int>(selected_isa()))}; }));
}

}  // namespace
}  // namespace samebits::testing
