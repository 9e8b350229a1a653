#include "repro/rope_freqs_cast_bf16/repro.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/detect/findings.h"

namespace samebits {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

float in_bfloat16(float x) { return at::tensor({x}).to(at::kBFloat16).item<float>(); }

// The largest error of the rotated vectors at the first `size` positions.
double error_at(CastToBf16 cast, int64_t size) {
  const Subject subject = rope_behind_boundary(cast);
  const auto inputs = subject.inputs(size);
  return subject.program(inputs)[0].sub(subject.reference(inputs)[0]).abs().max().item<double>();
}

TEST(CastRope, PositionsAbove256AreOthersInBfloat16) {
  EXPECT_EQ(in_bfloat16(256), 256);
  EXPECT_EQ(in_bfloat16(257), 256);
  EXPECT_EQ(in_bfloat16(15962), 15936);
}

// A rounded table is off everywhere by a rounding, a rounded position by a whole phase.
TEST(CastRope, HasAMildAndASevereStrength) {
  EXPECT_GT(error_at(CastToBf16::kTable, 1), 0);
  EXPECT_LT(error_at(CastToBf16::kTable, 5), 0.1);
  EXPECT_EQ(error_at(CastToBf16::kPositions, 2), 0);
  EXPECT_GT(error_at(CastToBf16::kPositions, 3), 1);
}

// The dtype is right on both sides of the rotation; only the numbers tell.
TEST(CastRope, IsFoundByTheNumbersOfTheTable) {
  EXPECT_THAT(
      boundary_changes(rope_behind_boundary(CastToBf16::kTable)),
      ElementsAre("samebits::rope: cos is Float, in the reference Float, and was rounded to "
                  "bfloat16 on the way",
                  "samebits::rope: sin is Float, in the reference Float, and was rounded to "
                  "bfloat16 on the way"));
  EXPECT_THAT(boundary_changes(rope_behind_boundary(CastToBf16::kPositions)),
              ElementsAre(HasSubstr("samebits::rope: positions is Long")));
}

}  // namespace
}  // namespace samebits
