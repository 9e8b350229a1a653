#include "repro/prim_to_local_symbolic_ceil/repro.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/core/case.h"
#include "harness/workload/grpo.h"
#include "repro/detectors.h"

namespace samebits {
namespace {

using testing::HasSubstr;

// Ranks and hint: only a hint that divides leaves the narrow out.
class SymbolicCeilTest : public testing::TestWithParam<std::tuple<int64_t, int64_t>> {};

TEST_P(SymbolicCeilTest, FailsWhereTheHintDivides) {
  const auto [ranks, hint] = GetParam();
  EXPECT_EQ(run_subject(gathered_linear(Side::kBuggy, ranks, hint)).went_wrong, hint % ranks == 0);
  const Outcome fixed = run_subject(gathered_linear(Side::kFixed, ranks, hint));
  EXPECT_FALSE(fixed.went_wrong) << fixed.evidence;
}

INSTANTIATE_TEST_SUITE_P(Ranks, SymbolicCeilTest,
                         testing::Combine(testing::Values(2, 3, 4), testing::Values(6, 7, 8, 9)));

TEST(SymbolicCeil, HasUpstreamsShapes) {
  const Outcome outcome = run_subject(gathered_linear(Side::kBuggy, /*ranks=*/2, /*hint=*/6));
  EXPECT_EQ(outcome.evidence,
            "traced at 6, served at 1: mat1 and mat2 shapes cannot be multiplied (1x4096 and "
            "2048x1024)");
}

// The whole model: traced at a prefill of an even number of tokens, served at an odd one.
class SymbolicCeilModelTest : public testing::Test {
 protected:
  static std::vector<Completion> generate(GatheredSize rule, Execution execution,
                                          GuardPolicy guards) {
    Arm arm;
    arm.model = SAMEBITS_SOURCE_DIR "/cases/models/tiny";
    arm.mesh.tp = 2;
    arm.mesh.gathered_size = rule;
    arm.generator = execution;
    arm.guards = guards;
    const TensorParallel parallel = make_parallel(arm);
    const auto model = make_model(arm, parallel);
    const auto engine = make_engine(arm, *model, /*sequences=*/2, /*longest=*/16);
    const Sampling sampling{/*seed=*/1, /*max_new_tokens=*/2, /*temperature=*/1.0, 0, 1.0};
    std::vector<Completion> all = engine->generate({{0, {1, 2, 3, 4}, {}}}, sampling);
    const std::vector<Completion> odd = engine->generate({{1, {1, 2, 3, 4, 5}, {}}}, sampling);
    all.insert(all.end(), odd.begin(), odd.end());
    return all;
  }
};

TEST_F(SymbolicCeilModelTest, DroppedGuardsServeAWrongSize) {
  try {
    generate(GatheredSize::kConditional, Execution::kCaptured, GuardPolicy::kDrop);
    FAIL() << "no error";
  } catch (const c10::Error& error) {
    EXPECT_THAT(error.what_without_backtrace(), HasSubstr("has shape [1, "));
  }
}

TEST_F(SymbolicCeilModelTest, NarrowingAlwaysOrKeepingGuardsGivesTheBitsOfEager) {
  const auto eager = generate(GatheredSize::kNarrow, Execution::kEager, GuardPolicy::kDrop);
  for (const auto& [rule, guards] : {std::pair(GatheredSize::kNarrow, GuardPolicy::kDrop),
                                     std::pair(GatheredSize::kConditional, GuardPolicy::kKeep)}) {
    const auto captured = generate(rule, Execution::kCaptured, guards);
    ASSERT_EQ(captured.size(), eager.size());
    for (size_t i = 0; i < eager.size(); ++i) {
      EXPECT_EQ(captured[i].tokens, eager[i].tokens);
      EXPECT_EQ(captured[i].logprobs, eager[i].logprobs);
    }
  }
}

}  // namespace
}  // namespace samebits
