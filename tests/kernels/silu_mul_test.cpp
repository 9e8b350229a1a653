#include "harness/kernels/silu_mul.h"

#include <gtest/gtest.h>

#include "harness/kernels/functional.h"
#include "tests/kernels/tensors.h"

namespace samebits {
namespace {

using testing::kDtypes;
using testing::random_tensor;
using testing::same_bits;

at::Tensor in_double(const at::Tensor& gate, const at::Tensor& up) {
  const at::Tensor g = gate.to(at::kDouble);
  return g * at::sigmoid(g) * up.to(at::kDouble);
}

TEST(SiluMul, IsNearTheExactProduct) {
  for (const auto dtype : kDtypes) {
    const at::Tensor gate = 4 * random_tensor({7, 300}, dtype, 1);
    const at::Tensor up = random_tensor({7, 300}, dtype, 2);
    // bf16: two roundings. float32: exp within 1.04 ULP, and four roundings.
    const double bound = dtype == at::kBFloat16 ? 2.1 * testing::kBf16Rounding : 8 * 0x1p-24;
    const at::Tensor y = ops::silu_mul(gate, up, false);
    EXPECT_LT(testing::largest_error(y, in_double(gate, up), 1e-30), bound);
    EXPECT_GT(testing::largest_error(y, in_double(gate + 1, up), 1e-30), bound);
  }
}

TEST(SiluMul, FusedRoundingDiffersInBf16AndOnlyThere) {
  for (const auto dtype : kDtypes) {
    const at::Tensor gate = random_tensor({4, 100}, dtype, 3);
    const at::Tensor up = random_tensor({4, 100}, dtype, 4);
    EXPECT_EQ(same_bits(ops::silu_mul(gate, up, false), ops::silu_mul(gate, up, true)),
              dtype == at::kFloat);
  }
}

TEST(SiluMul, IsTheSameOnAllIsasAndInAnyPiece) {
  for (const auto dtype : kDtypes) {
    for (const auto make : {random_tensor, testing::hostile_tensor}) {
      const at::Tensor gate = make({5, 1003}, dtype, 5);
      const at::Tensor up = make({5, 1003}, dtype, 6);
      const at::Tensor dy = make({5, 1003}, dtype, 7);
      const auto run = [&] {
        auto [dgate, dup] = ops::silu_mul_backward(dy, gate, up);
        return std::vector<at::Tensor>{ops::silu_mul(gate, up, false),
                                       ops::silu_mul(gate, up, true), dgate, dup};
      };
      EXPECT_TRUE(testing::same_on_all_isas(run));
      const at::Tensor whole = run()[0];
      EXPECT_TRUE(same_bits(ops::silu_mul(gate.slice(1, 13, 20), up.slice(1, 13, 20), false),
                            whole.slice(1, 13, 20)));
      EXPECT_FALSE(same_bits(ops::silu_mul(gate.slice(1, 14, 21), up.slice(1, 13, 20), false),
                             whole.slice(1, 13, 20)));
    }
  }
}

TEST(SiluMul, GradientsAreThoseOfTheFormula) {
  const at::Tensor gate = (3 * random_tensor({9, 50}, at::kFloat, 8)).requires_grad_();
  const at::Tensor up = random_tensor({9, 50}, at::kFloat, 9).requires_grad_();
  const at::Tensor dy = random_tensor({9, 50}, at::kFloat, 10);
  ops::silu_mul(gate, up, false).backward(dy);
  const at::Tensor wide_gate = gate.detach().to(at::kDouble).requires_grad_();
  const at::Tensor wide_up = up.detach().to(at::kDouble).requires_grad_();
  in_double(wide_gate, wide_up).backward(dy.to(at::kDouble));
  EXPECT_LT(testing::largest_error(gate.grad(), wide_gate.grad(), 1.0), 1e-6);
  EXPECT_LT(testing::largest_error(up.grad(), wide_up.grad(), 1.0), 1e-6);
  EXPECT_GT(testing::largest_error(gate.grad(), wide_up.grad(), 1.0), 1e-2);
}

TEST(SiluMul, RefusesAnotherShapeOrDtype) {
  EXPECT_THROW(ops::silu_mul(at::ones({2, 3}), at::ones({3, 2}), false), c10::Error);
  EXPECT_THROW(ops::silu_mul(at::ones({2}), at::ones({2}, at::kBFloat16), false), c10::Error);
}

}  // namespace
}  // namespace samebits
