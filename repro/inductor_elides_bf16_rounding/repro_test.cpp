#include "repro/inductor_elides_bf16_rounding/repro.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "repro/detect/findings.h"

namespace samebits {
namespace {

using testing::ElementsAre;

// The summed distance to the same rotation in float64, of the program and of its reference.
std::pair<double, double> distances(FusedRounding rounding) {
  const Subject subject = fused_rope(rounding);
  const auto inputs = subject.inputs(subject.hint);
  std::vector<at::Tensor> exact;
  for (const at::Tensor& input : inputs) exact.push_back(input.to(at::kDouble));
  const at::Tensor truth = subject.reference(exact)[0];
  const auto distance = [&](const Program& program) {
    return program(inputs)[0].to(at::kDouble).sub(truth).abs().sum().item<double>();
  };
  return {distance(subject.program), distance(subject.reference)};
}

// Other bits are not worse ones: a failure of parity, not of accuracy.
TEST(ElidedRounding, IsCloserToFloat64ThanEager) {
  const auto [compiled, eager] = distances(FusedRounding::kAtEnd);
  EXPECT_LT(compiled, eager);
}

TEST(ElidedRounding, RoundingEachStepIsEagerToTheBit) {
  const auto [compiled, eager] = distances(FusedRounding::kEachStep);
  EXPECT_EQ(compiled, eager);
}

TEST(ElidedRounding, IsFoundWhereAnUnroundedResultGoesIn) {
  EXPECT_THAT(boundary_changes(fused_rope(FusedRounding::kAtEnd)),
              ElementsAre("aten::add.Tensor: self is Float, in the reference BFloat16, with other "
                          "values",
                          "aten::add.Tensor: other is Float, in the reference BFloat16, with other "
                          "values"));
}

}  // namespace
}  // namespace samebits
