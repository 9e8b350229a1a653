// What a graph is given for a norm, products and their neighbours: the bits of the operators one
// after the other.

#include <gtest/gtest.h>

#include "harness/kernels/functional.h"
#include "harness/kernels/linear_residual_add.h"
#include "harness/kernels/rms_norm_linear_qkv.h"
#include "harness/kernels/rms_norm_linear_silu_mul.h"
#include "tests/kernels/tensors.h"

namespace samebits {
namespace {

using testing::hostile_tensor;
using testing::kDtypes;
using testing::list;
using testing::random_tensor;
using testing::same_bits;
using Tensors = std::vector<at::Tensor>;

constexpr double kEps = 1e-6;

// x, the norm's weight, and some others.
Tensors inputs(int64_t rows, int64_t dim, const std::vector<int64_t>& widths, at::ScalarType dtype,
               bool hostile = false) {
  Tensors found{
      hostile ? hostile_tensor({rows, dim}, dtype, 1) : random_tensor({rows, dim}, dtype, 1),
      random_tensor({dim}, dtype, 2)};
  for (const int64_t width : widths) {
    found.push_back(random_tensor({width, dim}, dtype, 10 + static_cast<uint64_t>(width)));
  }
  return found;
}

Tensors qkv(const Tensors& in, at::ScalarType out) {
  return list(ops::rms_norm_linear_qkv(in[0], in[1], kEps, in[2], in[3], in[4], out));
}
Tensors qkv_apart(const Tensors& in, at::ScalarType out, bool fused_rounding = false) {
  const at::Tensor normed = ops::rms_norm(in[0], in[1], kEps, fused_rounding);
  Tensors found{normed};
  for (size_t i = 2; i < 5; ++i) found.push_back(ops::linear(normed, in[i], 0, 0, out));
  return found;
}

Tensors gated(const Tensors& in, at::ScalarType out) {
  return list(ops::rms_norm_linear_silu_mul(in[0], in[1], kEps, in[2], in[3], out));
}
Tensors gated_apart(const Tensors& in, at::ScalarType out, bool fused_rounding = false) {
  const at::Tensor normed = ops::rms_norm(in[0], in[1], kEps, /*fused_rounding=*/false);
  const at::Tensor gate = ops::linear(normed, in[2], 0, 0, out);
  const at::Tensor up = ops::linear(normed, in[3], 0, 0, out);
  return {normed, gate, up, ops::silu_mul(gate, up, fused_rounding)};
}

TEST(RmsNormLinearQkv, HasTheBitsOfTheFourOperators) {
  for (const auto dtype : kDtypes) {
    for (const auto out : kDtypes) {
      for (const int64_t dim : {1, 30, 64, 160}) {
        const Tensors in = inputs(5, dim, {24, 8, 7}, dtype);
        EXPECT_TRUE(same_bits(qkv(in, out), qkv_apart(in, out)));
        const Tensors wild = inputs(5, dim, {24, 8, 7}, dtype, /*hostile=*/true);
        EXPECT_TRUE(same_bits(qkv(wild, out), qkv_apart(wild, out)));
      }
    }
    // The controls: without the norm's inner rounding, and with two weights in each other's place.
    Tensors in = inputs(5, 160, {24, 8, 7}, dtype);
    const Tensors expected = qkv(in, dtype);
    EXPECT_EQ(same_bits(expected, qkv_apart(in, dtype, /*fused_rounding=*/true)),
              dtype == at::kFloat);
    std::swap(in[3], in[4]);
    EXPECT_FALSE(same_bits(expected, qkv(in, dtype)));
  }
}

TEST(RmsNormLinearSiluMul, HasTheBitsOfTheFourOperators) {
  for (const auto dtype : kDtypes) {
    for (const auto out : kDtypes) {
      for (const int64_t dim : {1, 30, 64, 160}) {
        const Tensors in = inputs(5, dim, {24, 24}, dtype);
        EXPECT_TRUE(same_bits(gated(in, out), gated_apart(in, out)));
        const Tensors wild = inputs(5, dim, {24, 24}, dtype, /*hostile=*/true);
        EXPECT_TRUE(same_bits(gated(wild, out), gated_apart(wild, out)));
      }
    }
    Tensors in = inputs(5, 160, {24, 24}, dtype);
    in[3] = random_tensor({24, 160}, dtype, 99);
    const Tensors expected = gated(in, dtype);
    EXPECT_EQ(same_bits(expected, gated_apart(in, dtype, /*fused_rounding=*/true)),
              dtype == at::kFloat);
    std::swap(in[2], in[3]);
    EXPECT_FALSE(same_bits(expected[3], gated(in, dtype)[3]));
  }
}

TEST(LinearResidualAdd, HasTheBitsOfTheTwoOperators) {
  for (const auto dtype : kDtypes) {
    for (const auto out : kDtypes) {
      for (const int64_t slice : {0, 16, 20, 160}) {
        const at::Tensor x = hostile_tensor({5, 160}, dtype, 1);
        const at::Tensor weight = random_tensor({24, 160}, dtype, 2);
        const at::Tensor residual = random_tensor({5, 24}, out, 3);
        const at::Tensor y = ops::linear(x, weight, slice, 0, out);
        EXPECT_TRUE(same_bits(list(ops::linear_residual_add(x, weight, slice, out, residual)),
                              {y, ops::residual_add(residual, y)}));
      }
    }
  }
  // The control: the product is rounded before it is added.
  const at::Tensor x = random_tensor({5, 160}, at::kBFloat16, 1);
  const at::Tensor weight = random_tensor({24, 160}, at::kBFloat16, 2);
  const at::Tensor residual = random_tensor({5, 24}, at::kBFloat16, 3);
  const at::Tensor unrounded = ops::linear(x, weight, 20, 0, at::kFloat) + residual.to(at::kFloat);
  EXPECT_FALSE(
      same_bits(std::get<1>(ops::linear_residual_add(x, weight, 20, at::kBFloat16, residual)),
                unrounded.to(at::kBFloat16)));
}

TEST(FusedLinears, AreTheSameOnAllIsas) {
  for (const auto dtype : kDtypes) {
    const Tensors in = inputs(5, 96, {24, 8, 7}, dtype, /*hostile=*/true);
    EXPECT_TRUE(testing::same_on_all_isas([&] { return qkv(in, dtype); }));
    const Tensors pair = inputs(5, 96, {24, 24}, dtype, /*hostile=*/true);
    EXPECT_TRUE(testing::same_on_all_isas([&] { return gated(pair, dtype); }));
    const at::Tensor residual = random_tensor({5, 24}, dtype, 5);
    EXPECT_TRUE(testing::same_on_all_isas(
        [&] { return list(ops::linear_residual_add(in[0], in[2], 12, dtype, residual)); }));
  }
}

TEST(FusedLinears, ARowDependsOnItselfAlone) {
  const Tensors in = inputs(40, 96, {24, 24, 24}, at::kBFloat16);
  const at::Tensor residual = random_tensor({40, 24}, at::kBFloat16, 5);
  const auto all_of = [&](const at::Tensor& x, const at::Tensor& added) {
    Tensors found = qkv({x, in[1], in[2], in[3], in[4]}, at::kBFloat16);
    for (const auto& each : gated({x, in[1], in[2], in[3]}, at::kBFloat16)) found.push_back(each);
    for (const auto& each : list(ops::linear_residual_add(x, in[2], 12, at::kBFloat16, added))) {
      found.push_back(each);
    }
    return found;
  };
  const Tensors all = all_of(in[0], residual);
  for (const int64_t row : {0, 17, 39}) {
    const Tensors alone = all_of(in[0].narrow(0, row, 1), residual.narrow(0, row, 1));
    for (size_t i = 0; i < all.size(); ++i) {
      EXPECT_TRUE(same_bits(alone[i], all[i].narrow(0, row, 1))) << i;
    }
  }
}

TEST(FusedLinears, TakeEmptyBatchesAndRefuseOtherShapes) {
  const Tensors in = inputs(0, 16, {8, 8, 4}, at::kFloat);
  EXPECT_EQ(qkv(in, at::kFloat)[3].sizes(), at::IntArrayRef({0, 4}));
  EXPECT_EQ(gated({in[0], in[1], in[2], in[3]}, at::kFloat)[3].sizes(), at::IntArrayRef({0, 8}));
  EXPECT_THROW(gated({in[0], in[1], in[2], in[4]}, at::kFloat), c10::Error);
  EXPECT_THROW(qkv({in[0], in[1], in[2], in[3], at::ones({4, 15})}, at::kFloat), c10::Error);
  EXPECT_THROW(ops::linear_residual_add(in[0], in[2], 0, at::kFloat, at::ones({1, 8})), c10::Error);
  EXPECT_THROW(ops::linear_residual_add(in[0], in[2], -1, at::kFloat, at::ones({0, 8})),
               c10::Error);
}

}  // namespace
}  // namespace samebits
