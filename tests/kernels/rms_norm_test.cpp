#include "harness/kernels/rms_norm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "harness/kernels/functional.h"
#include "tests/kernels/gradients.h"
#include "tests/kernels/tensors.h"

namespace samebits {
namespace {

using testing::kDtypes;
using testing::random_tensor;
using testing::rms_norm_wgrad;
using testing::same_bits;

constexpr double kEps = 1e-6;

at::Tensor random_weight(int64_t dim, at::ScalarType dtype) {
  return (1.0 + 0.1 * random_tensor({dim}, at::kFloat, 77)).to(dtype);
}

// The contract's words, one scalar at a time, for float32. `lanes` is the number of partial sums.
at::Tensor norm_by_the_letter(const at::Tensor& x, const at::Tensor& weight, int64_t lanes) {
  at::Tensor y = at::empty_like(x);
  const int64_t dim = x.size(1);
  for (int64_t row = 0; row < x.size(0); ++row) {
    const float* in = x.const_data_ptr<float>() + row * dim;
    std::vector<float> partial(static_cast<size_t>(lanes), 0.0f);
    for (int64_t i = 0; i < dim; ++i) partial[i % lanes] += in[i] * in[i];
    for (int64_t width = lanes / 2; width > 0; width /= 2) {
      for (int64_t lane = 0; lane < width; ++lane) partial[lane] += partial[lane + width];
    }
    const float mean = partial[0] / static_cast<float>(dim);
    const float r = 1.0f / std::sqrt(mean + static_cast<float>(kEps));
    for (int64_t i = 0; i < dim; ++i) {
      y.mutable_data_ptr<float>()[row * dim + i] = weight.const_data_ptr<float>()[i] * (in[i] * r);
    }
  }
  return y;
}

at::Tensor norm_in_double(const at::Tensor& x, const at::Tensor& weight) {
  const at::Tensor wide = x.to(at::kDouble);
  const at::Tensor r = ((wide * wide).mean(-1, /*keepdim=*/true) + kEps).rsqrt();
  return weight.to(at::kDouble) * (wide * r);
}

TEST(RmsNorm, FollowsItsContractToTheBit) {
  for (const int64_t dim : {1, 15, 16, 17, 64, 100, 1024}) {
    const at::Tensor x = random_tensor({5, dim}, at::kFloat, static_cast<uint64_t>(dim));
    const at::Tensor weight = random_weight(dim, at::kFloat);
    EXPECT_TRUE(same_bits(ops::rms_norm(x, weight, kEps, false),
                          norm_by_the_letter(x, weight, kRmsNormLanes)))
        << "dim " << dim;
  }
}

TEST(RmsNorm, AnotherOrderOfTheSumHasOtherBits) {
  const at::Tensor x = random_tensor({64, 1024}, at::kFloat, 3);
  const at::Tensor weight = random_weight(1024, at::kFloat);
  EXPECT_FALSE(same_bits(ops::rms_norm(x, weight, kEps, false), norm_by_the_letter(x, weight, 1)));
}

TEST(RmsNorm, IsNearTheExactNorm) {
  for (const auto dtype : kDtypes) {
    const at::Tensor x = random_tensor({33, 256}, dtype, 5);
    const at::Tensor weight = random_weight(256, dtype);
    const at::Tensor y = ops::rms_norm(x, weight, kEps, false);
    // bf16: the inner rounding and the outer. float32: 16 + 4 additions of the sum, halved by the
    // root, and five more roundings, 2^-24 each.
    const double bound = dtype == at::kBFloat16 ? 2.1 * testing::kBf16Rounding : 16 * 0x1p-24;
    EXPECT_LT(testing::largest_error(y, norm_in_double(x, weight), 1e-30), bound);
  }
}

TEST(RmsNorm, ARowDoesNotDependOnItsBatch) {
  for (const auto dtype : kDtypes) {
    const at::Tensor x = random_tensor({37, 96}, dtype, 7);
    const at::Tensor weight = random_weight(96, dtype);
    const at::Tensor y = ops::rms_norm(x, weight, kEps, false);
    const at::Tensor dx = ops::rms_norm_dgrad(y, x, weight, kEps);
    for (const int64_t row : {0, 1, 18, 36}) {
      const at::Tensor alone = x.slice(0, row, row + 1);
      const at::Tensor alone_y = ops::rms_norm(alone, weight, kEps, false);
      EXPECT_TRUE(same_bits(alone_y, y.slice(0, row, row + 1)));
      EXPECT_TRUE(
          same_bits(ops::rms_norm_dgrad(alone_y, alone, weight, kEps), dx.slice(0, row, row + 1)));
    }
  }
}

TEST(RmsNorm, IsTheSameOnAllIsas) {
  for (const auto dtype : kDtypes) {
    for (const int64_t dim : {1, 7, 16, 31, 128, 1000}) {
      for (const bool hostile : {false, true}) {
        const auto make = hostile ? testing::hostile_tensor : random_tensor;
        const at::Tensor x = make({70, dim}, dtype, static_cast<uint64_t>(dim));
        const at::Tensor dy = make({70, dim}, dtype, 1000);
        const at::Tensor weight = make({dim}, dtype, 2000);
        EXPECT_TRUE(testing::same_on_all_isas([&] {
          return std::vector<at::Tensor>{
              ops::rms_norm(x, weight, kEps, false), ops::rms_norm(x, weight, kEps, true),
              ops::rms_norm_dgrad(dy, x, weight, kEps), rms_norm_wgrad(dy, x, kEps)};
        })) << toString(dtype)
            << " dim " << dim << (hostile ? " hostile" : "");
      }
    }
  }
}

TEST(RmsNorm, FusedRoundingDiffersInBf16AndOnlyThere) {
  for (const auto dtype : kDtypes) {
    const at::Tensor x = random_tensor({8, 128}, dtype, 11);
    const at::Tensor weight = random_weight(128, dtype);
    EXPECT_EQ(
        same_bits(ops::rms_norm(x, weight, kEps, false), ops::rms_norm(x, weight, kEps, true)),
        dtype == at::kFloat);
  }
}

TEST(RmsNorm, GradientsAreThoseOfTheFormula) {
  const at::Tensor x = random_tensor({40, 96}, at::kFloat, 13).requires_grad_();
  const at::Tensor weight = random_weight(96, at::kFloat).requires_grad_();
  const at::Tensor dy = random_tensor({40, 96}, at::kFloat, 17);
  ops::rms_norm(x, weight, kEps, false).backward(dy);
  const at::Tensor wide_x = x.detach().to(at::kDouble).requires_grad_();
  const at::Tensor wide_weight = weight.detach().to(at::kDouble).requires_grad_();
  norm_in_double(wide_x, wide_weight).backward(dy.to(at::kDouble));
  // Sums of 96 and 40 terms of order 1 that may cancel: absolute floor 1.
  EXPECT_LT(testing::largest_error(x.grad(), wide_x.grad(), 1.0), 1e-6);
  EXPECT_LT(testing::largest_error(weight.grad(), wide_weight.grad(), 1.0), 5e-6);
  // The twin: the gradient of a neighbouring formula (no projection) is seen to be wrong.
  const at::Tensor r = (wide_x.detach().square().mean(-1, true) + kEps).rsqrt();
  EXPECT_GT(testing::largest_error(x.grad(), dy * wide_weight.detach() * r, 1.0), 1e-3);
}

TEST(RmsNorm, WgradSumsRowsInTheStatedOrder) {
  const at::Tensor x = random_tensor({100, 24}, at::kFloat, 19);
  const at::Tensor dy = random_tensor({100, 24}, at::kFloat, 23);
  const at::Tensor whole = rms_norm_wgrad(dy, x, kEps);
  // Blocks of 32 rows, each by itself, then added in ascending order from +0.
  at::Tensor sum = at::zeros({24});
  for (int64_t first = 0; first < 100; first += kRmsNormBlockRows) {
    const int64_t end = std::min<int64_t>(100, first + kRmsNormBlockRows);
    sum = sum + rms_norm_wgrad(dy.slice(0, first, end), x.slice(0, first, end), kEps);
  }
  EXPECT_TRUE(same_bits(whole, sum));
  EXPECT_FALSE(same_bits(whole, rms_norm_wgrad(dy.flip(0), x.flip(0), kEps)));
}

TEST(RmsNorm, WgradOfGatheredShardsIsThatOfTheWhole) {
  const at::Tensor x = random_tensor({77, 24}, at::kBFloat16, 19);
  const at::Tensor dy = random_tensor({77, 24}, at::kBFloat16, 23);
  const at::Tensor whole = rms_norm_wgrad(dy, x, kEps);
  const auto cut = [](const at::Tensor& t) { return t.split(26); };
  EXPECT_TRUE(same_bits(whole, rms_norm_wgrad(at::cat(cut(dy)), at::cat(cut(x)), kEps)));
  // The twin: shards that are summed first round elsewhere.
  at::Tensor partial = at::zeros({24});
  for (size_t i = 0; i < 3; ++i) {
    partial = partial + rms_norm_wgrad(cut(dy)[i], cut(x)[i], kEps);
  }
  EXPECT_FALSE(same_bits(whole, partial));
}

TEST(RmsNorm, TakesNoRowsAtAll) {
  const at::Tensor x = at::empty({0, 8});
  EXPECT_EQ(ops::rms_norm(x, at::ones({8}), kEps, false).size(0), 0);
  EXPECT_TRUE(same_bits(rms_norm_wgrad(x, x, kEps), at::zeros({8})));
}

TEST(RmsNorm, RefusesWeightsOfAnotherShapeOrDtype) {
  const at::Tensor x = at::ones({2, 8});
  EXPECT_THROW(ops::rms_norm(x, at::ones({7}), kEps, false), c10::Error);
  EXPECT_THROW(ops::rms_norm(x, at::ones({8}, at::kBFloat16), kEps, false), c10::Error);
  EXPECT_THROW(ops::rms_norm(x.to(at::kDouble), at::ones({8}, at::kDouble), kEps, false),
               c10::Error);
}

}  // namespace
}  // namespace samebits
