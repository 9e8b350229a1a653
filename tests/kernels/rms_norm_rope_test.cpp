#include "harness/kernels/rms_norm_rope.h"

#include <gtest/gtest.h>

#include "harness/kernels/functional.h"
#include "tests/kernels/tensors.h"

namespace samebits {
namespace {

using testing::kDtypes;
using testing::random_tensor;
using testing::same_bits;

constexpr double kEps = 1e-6;
constexpr int64_t kTable = 50;

struct Inputs {
  at::Tensor x, weight, cos, sin, positions;
};

Inputs inputs(int64_t tokens, int64_t heads, int64_t dim, at::ScalarType dtype) {
  return {random_tensor({1, tokens, heads, dim}, dtype, 1), random_tensor({dim}, dtype, 2),
          random_tensor({kTable, dim / 2}, at::kFloat, 3),
          random_tensor({kTable, dim / 2}, at::kFloat, 4),
          ((at::arange(tokens) * 7 + 3) % kTable).view({1, tokens})};
}

std::vector<at::Tensor> fused(const Inputs& in) {
  const auto [normed, rotated] =
      ops::rms_norm_rope(in.x, in.weight, kEps, in.cos, in.sin, in.positions);
  return {normed, rotated};
}

std::vector<at::Tensor> apart(const Inputs& in, bool fused_rounding) {
  const at::Tensor normed = ops::rms_norm(in.x, in.weight, kEps, fused_rounding);
  return {normed, ops::rope(normed, in.cos, in.sin, in.positions, /*inverse=*/false)};
}

TEST(RmsNormRope, HasTheBitsOfTheTwoOperators) {
  for (const auto dtype : kDtypes) {
    for (const int64_t dim : {2, 16, 34, 128}) {
      const Inputs in = inputs(37, 3, dim, dtype);
      EXPECT_TRUE(same_bits(fused(in), apart(in, /*fused_rounding=*/false)));
      EXPECT_EQ(same_bits(fused(in), apart(in, /*fused_rounding=*/true)), dtype == at::kFloat);
    }
  }
}

TEST(RmsNormRope, IsTheSameOnAllIsas) {
  for (const auto dtype : kDtypes) {
    Inputs in = inputs(5, 3, 34, dtype);
    in.x = testing::hostile_tensor({1, 5, 3, 34}, dtype, 5);
    EXPECT_TRUE(testing::same_on_all_isas([&] { return fused(in); }));
  }
}

TEST(RmsNormRope, ATokenDependsOnItselfAlone) {
  const Inputs in = inputs(64, 2, 16, at::kBFloat16);
  const auto all = fused(in);
  for (const int64_t t : {0, 31, 63}) {
    Inputs one = in;
    one.x = in.x.narrow(1, t, 1);
    one.positions = in.positions.narrow(1, t, 1);
    EXPECT_TRUE(same_bits(fused(one), {all[0].narrow(1, t, 1), all[1].narrow(1, t, 1)}));
  }
}

TEST(RmsNormRope, RefusesPositionsAndShapesThatDoNotFit) {
  Inputs in = inputs(3, 2, 16, at::kFloat);
  in.positions = at::tensor({int64_t{0}, int64_t{50}, int64_t{1}}).view({1, 3});
  try {
    fused(in);
    FAIL() << "no error";
  } catch (const c10::Error& error) {
    EXPECT_NE(std::string(error.what()).find("token 1 has position 50, expected one in [0, 50)"),
              std::string::npos);
  }
  in = inputs(3, 2, 16, at::kFloat);
  in.weight = at::ones({8});
  EXPECT_THROW(fused(in), c10::Error);
  EXPECT_EQ(fused(inputs(0, 2, 16, at::kFloat))[1].numel(), 0);
}

}  // namespace
}  // namespace samebits
