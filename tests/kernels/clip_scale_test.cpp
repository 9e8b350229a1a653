#include "harness/kernels/clip_scale.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "harness/kernels/functional.h"
#include "tests/kernels/tensors.h"

namespace samebits {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

ClipScale clip(const std::vector<float>& squares, double clip_norm) {
  std::vector<at::Tensor> tensors;
  for (const float square : squares) tensors.push_back(at::scalar_tensor(square));
  const auto [norm, scale] = ops::clip_scale(tensors, clip_norm);
  return {norm.item<float>(), scale.item<float>()};
}

TEST(ClipScaleOp, FollowsItsContractToTheBit) {
  const at::Tensor squares = testing::random_tensor({40}, at::kFloat, 1).abs();
  std::vector<float> values(squares.const_data_ptr<float>(), squares.const_data_ptr<float>() + 40);
  for (const double clip_norm : {1e-3, 0.3, 1.0, 100.0}) {
    float sum = 0.0f;
    for (const float value : values) sum += value;
    const float norm = std::sqrt(sum);
    const float scale = std::min(1.0f, static_cast<float>(clip_norm) / (norm + 1e-6f));
    const ClipScale found = clip(values, clip_norm);
    EXPECT_EQ(found.norm, norm);
    EXPECT_EQ(found.scale, scale);
  }
}

TEST(ClipScaleOp, TheOrderOfTheSumIsTheParameters) {
  // One by one, ones are lost beside 2^24; their sum is not.
  std::vector<float> squares(1025, 1.0f);
  squares.front() = 0x1p24f;
  EXPECT_EQ(clip(squares, 1).norm, 0x1p12f);
  std::swap(squares.front(), squares.back());
  EXPECT_EQ(clip(squares, 1).norm, std::sqrt(0x1p24f + 1024.0f));
}

TEST(ClipScaleOp, ClipsOnlyWhatIsAboveTheNorm) {
  EXPECT_EQ(clip({0.0f}, 1).norm, 0.0f);
  EXPECT_EQ(clip({0.0f}, 1).scale, 1.0f);
  EXPECT_EQ(clip({0.25f}, 1).scale, 1.0f);
  EXPECT_LT(clip({4.0f}, 1).scale, 0.5f);
}

TEST(ClipScaleOp, SaysWhatNormsThatAreNoNumbersScaleBy) {
  EXPECT_EQ(clip({kInfinity, 1.0f}, 1).norm, kInfinity);
  EXPECT_EQ(clip({kInfinity, 1.0f}, 1).scale, 0.0f);
  for (const std::vector<float>& squares : {std::vector<float>{1.0f, -kNan}, {-1.0f}}) {
    const ClipScale found = clip(squares, 1);
    EXPECT_EQ(f32_bits(found.norm), kNanF32);
    EXPECT_EQ(found.scale, 1.0f);
  }
}

TEST(ClipScaleOp, RefusesWhatIsNoListOfNumbers) {
  EXPECT_THROW(ops::clip_scale({}, 1), c10::Error);
  EXPECT_THROW(ops::clip_scale({at::ones({1})}, 1), c10::Error);
  EXPECT_THROW(ops::clip_scale({at::ones({}, at::kDouble)}, 1), c10::Error);
}

}  // namespace
}  // namespace samebits
