#include "harness/execution/witness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace samebits {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

std::string failure(Execution execution, const Witness& growth) {
  return witness_failure(growth, "trainer", {execution});
}

TEST(WitnessTest, AnEagerProgramMustComputeItself) {
  EXPECT_EQ(failure(Execution::kEager, {.eager_calls = 8}), "");
  EXPECT_THAT(failure(Execution::kEager, {}), HasSubstr("its trainer should run eager"));
  EXPECT_THAT(failure(Execution::kEager, {.nodes = 9}),
              HasSubstr("should run eager, but 9 nodes and 0 eager calls ran"));
}

TEST(WitnessTest, ACapturedProgramMustNotComputeItself) {
  EXPECT_EQ(failure(Execution::kCaptured, {.nodes = 9}), "");
  EXPECT_THAT(failure(Execution::kCaptured, {.eager_calls = 1}),
              HasSubstr("its trainer should run captured, but 0 nodes and 1 eager calls ran"));
  EXPECT_NE(failure(Execution::kCaptured, {.eager_calls = 1, .nodes = 9}), "");
  EXPECT_NE(failure(Execution::kCaptured, {}), "");
}

TEST(WitnessTest, AReplayedProgramMustReplayAndDoNothingBeside) {
  for (const Execution execution : {Execution::kPiecewise, Execution::kFullGraph}) {
    EXPECT_EQ(failure(execution, {.replays = 3, .launches = 40}), "");
    EXPECT_EQ(failure(execution, {.runs = 1, .nodes = 9, .replays = 3, .launches = 40}), "");
    EXPECT_THAT(failure(execution, {.runs = 1, .nodes = 9}), HasSubstr("should replay graphs"));
    EXPECT_THAT(failure(execution, {.replays = 3}), HasSubstr("3 replays of 0 launches"));
    EXPECT_NE(failure(execution, {.eager_calls = 1, .replays = 3, .launches = 40}), "");
    const Witness clean{.replays = 3, .launches = 40};
    Witness dirty = clean;
    dirty.replay_dispatcher_calls = 1;
    EXPECT_NE(failure(execution, dirty), "");
    dirty = clean;
    dirty.replay_allocations = 1;
    EXPECT_NE(failure(execution, dirty), "");
  }
}

// As a trainer's is under full_graph. Buckets of the user's may be too small for some calls.
TEST(WitnessTest, AProgramOfWholeReplaysRunsNothingNodeByNode) {
  Mode mode{Execution::kFullGraphAlways};
  const Witness clean{.replays = 3, .launches = 40};
  Witness mixed = clean;
  mixed.runs = 1;
  mixed.nodes = 9;
  EXPECT_EQ(witness_failure(clean, "trainer", mode), "");
  EXPECT_THAT(witness_failure(mixed, "trainer", mode),
              HasSubstr("its trainer should replay graphs in every call, but 1 of them ran node by "
                        "node beside 3 replays"));
  mode.buckets = {8};
  EXPECT_EQ(witness_failure(mixed, "trainer", mode), "");
}

TEST(WitnessTest, APersistentProgramNeedsStages) {
  EXPECT_EQ(failure(Execution::kPersistent, {.replays = 3, .launches = 3, .stages = 36}), "");
  EXPECT_EQ(failure(Execution::kPersistent, {.replays = 3, .launches = 3, .fused_steps = 3}), "");
  EXPECT_THAT(failure(Execution::kPersistent, {.replays = 3}), HasSubstr("none ran in 3 replays"));
  EXPECT_THAT(failure(Execution::kPersistent, {.stages = 36}), HasSubstr("should replay graphs"));
}

TEST(WitnessTest, ACompiledProgramMustRunItsPackageAlone) {
  EXPECT_EQ(failure(Execution::kAotInductor, {.traces = 1, .compiled_runs = 3}), "");
  EXPECT_THAT(failure(Execution::kAotInductor, {.traces = 1}),
              HasSubstr("should run its package, but 0 runs of it, 0 nodes and 0 eager calls ran"));
  EXPECT_NE(failure(Execution::kAotInductor, {.eager_calls = 1, .compiled_runs = 3}), "");
  EXPECT_NE(failure(Execution::kAotInductor, {.nodes = 9, .compiled_runs = 3}), "");
}

TEST(WitnessTest, CountersOfAModeGoToFilesAndBack) {
  EXPECT_THAT(counters_of({.eager_calls = 2, .nodes = 9}, "generator", {}),
              ElementsAre(Pair("generator.eager_calls", 2)));
  const Witness counted{.traces = 1, .runs = 4, .nodes = 36, .guards_checked = 5};
  const Mode captured{Execution::kCaptured};
  const Counters counters = counters_of(counted, "generator", captured);
  EXPECT_EQ(counters.size(), 6U);
  const Witness back = witness_from(counters, "generator");
  EXPECT_EQ(counters_of(back, "generator", captured), counters);
  EXPECT_EQ(witness_from(counters, "trainer").nodes, 0);
}

TEST(WitnessTest, AModeSaysItselfInWords) {
  EXPECT_EQ(describe({}), "eager");
  EXPECT_EQ(describe({Execution::kEager, GuardPolicy::kDrop}), "eager");
  EXPECT_EQ(describe({Execution::kPiecewise, GuardPolicy::kDrop}), "piecewise, no guards");
}

}  // namespace
}  // namespace samebits
