#include "repro/inductor_elides_bf16_rounding/repro.h"

#include <ATen/ATen.h>
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>

#include <cstdlib>

#include "harness/detect/findings.h"
#include "tests/support/source_path.h"
#include "tests/support/tensor_file.h"

namespace samebits {
namespace {

using ::testing::ElementsAre;

// What make_package.py recorded: one rotation as eager and as an AOTInductor package give it.
class Recorded {
 public:
  Recorded() : file_(source_path("repro/inductor_elides_bf16_rounding/recorded.safetensors")) {}

  at::Tensor operator[](const std::string& name) const { return testing::tensor_in(file_, name); }

  at::Tensor evaluated(FusedRounding rounding) const {
    const auto table = [&](const std::string& name) { return (*this)[name].squeeze(1); };
    return fused_rope(rounding).program({(*this)["x"], table("cos"), table("sin")})[0];
  }

 private:
  SafetensorsFile file_;
};

int64_t differing(const at::Tensor& one, const at::Tensor& other) {
  EXPECT_EQ(one.sizes(), other.sizes());
  return one.view(at::kShort).ne(other.view(at::kShort)).sum().item<int64_t>();
}

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

TEST(ElidedRounding, RoundingAtTheEndIsWhatInductorGaveToTheBit) {
  const Recorded recorded;
  EXPECT_EQ(differing(recorded.evaluated(FusedRounding::kAtEnd), recorded["packaged"]), 0);
  EXPECT_EQ(differing(recorded.evaluated(FusedRounding::kEachStep), recorded["eager"]), 0);
  EXPECT_EQ(differing(recorded["eager"], recorded["packaged"]), 79);
}

TEST(ElidedRounding, APackageRoundsAtTheEnd) {
  const char* package = std::getenv("SAMEBITS_AOTI_PACKAGE");
  if (package == nullptr) GTEST_SKIP() << "SAMEBITS_AOTI_PACKAGE names no package";
  ASSERT_NE(dlopen(SAMEBITS_EMPTY_LIBTORCH, RTLD_NOW), nullptr) << dlerror();
  torch::inductor::AOTIModelPackageLoader loader(package);
  const Recorded recorded;
  const at::Tensor packaged = loader.run({recorded["x"], recorded["cos"], recorded["sin"]})[0];
  EXPECT_EQ(differing(packaged, recorded.evaluated(FusedRounding::kAtEnd)), 0);
  EXPECT_EQ(differing(packaged, recorded["eager"]), 79);
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
