#include "repro/prim_to_local_symbolic_ceil/repro.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/detect/findings.h"
#include "harness/workload/grpo.h"
#include "tests/support/source_path.h"

namespace samebits {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

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
  EXPECT_THAT(outcome.evidence, StartsWith("traced at 6, served at 1: "));
  EXPECT_THAT(outcome.evidence,  // behind "mm: " in later releases
              EndsWith("mat1 and mat2 shapes cannot be multiplied (1x4096 and 2048x1024)"));
}

// torchtitan's workaround: as good as the fix for the result, at every size and any hint. The false
// guard is still there for the next consumer, and where the hint divides the wrong size.
TEST_P(SymbolicCeilTest, AConsumerThatNarrowsIsRightAndTheGatherIsNot) {
  const auto [ranks, hint] = GetParam();
  const Subject narrowed = gathered_linear({.ranks = ranks,
                                            .hint = hint,
                                            .gathered_size = GatheredSize::kConditional,
                                            .consumer_narrows = true});
  const Outcome outcome = run_subject(narrowed);
  EXPECT_FALSE(outcome.went_wrong) << outcome.evidence;
  EXPECT_FALSE(false_guards(narrowed).empty());  // whichever way the condition was answered
  EXPECT_EQ(symbol_mismatches(narrowed).empty(), hint % ranks != 0);
}

// Hooks or explicit calls make no difference to what is computed. They do to who can mend it:
// behind a hook the module sees the gathered rows, and narrows them to themselves.
class ConversionTest : public testing::TestWithParam<bool> {
 protected:
  static Outcome run(GatheredSize rule, GatheredLinear::Converted converted) {
    return run_subject(gathered_linear(
        {.gathered_size = rule, .converted = converted, .consumer_narrows = GetParam()}));
  }
};

TEST_P(ConversionTest, ByHooksIsRightOnlyWhereTheGatherIs) {
  using Converted = GatheredLinear::Converted;
  EXPECT_FALSE(run(GatheredSize::kNarrow, Converted::kInForward).went_wrong);
  EXPECT_FALSE(run(GatheredSize::kNarrow, Converted::kByHooks).went_wrong);
  EXPECT_EQ(run(GatheredSize::kConditional, Converted::kInForward).went_wrong, !GetParam());
  EXPECT_THAT(run(GatheredSize::kConditional, Converted::kByHooks).evidence,
              HasSubstr("served at 1: output 0 has sizes [1, 2, 1024]"));
}

INSTANTIATE_TEST_SUITE_P(Consumer, ConversionTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Narrows" : "DoesNot"; });

// The whole model: traced at a prefill of an even number of tokens, served at an odd one.
class SymbolicCeilModelTest : public testing::Test {
 protected:
  static std::vector<Completion> generate(GatheredSize rule, Execution execution,
                                          GuardPolicy guards) {
    ArmSettings arm;
    arm.model = source_path("cases/models/tiny");
    arm.mesh.tp = 2;
    arm.mesh.gathered_size = rule;
    arm.generator.execution = execution;
    arm.generator.guards = guards;
    const TensorParallel parallel = make_parallel(arm);
    const auto model = make_model(arm, arm.generator, parallel);
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
