// The size that redistribute takes a gather to have: always narrowed, or upstream's condition,
// which a trace asks only once (pytorch#175690).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/capture/captured_program.h"
#include "harness/capture/print.h"
#include "harness/capture/symbol_oracle.h"
#include "harness/dtensor/dtensor.h"
#include "tests/capture/support.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;

// in0 [s, 4] S(0) -> R -> each rank's local [s, 4]
Tensors gathered(const Tensors& in) {
  return to_local(redistribute(in[0], Placement::replicate()));
}

class GatheredSizeTest : public ::testing::TestWithParam<std::tuple<int, int>> {
 protected:
  int ranks() const { return std::get<0>(GetParam()); }
  int hint() const { return std::get<1>(GetParam()); }

  at::Tensor sharded(int64_t size, GatheredSize rule) const {
    return distribute_tensor(rows(size, 4), make_local_mesh(ranks(), rule), Placement::shard(0));
  }
};

TEST_P(GatheredSizeTest, NarrowingAlwaysIsRightAtEverySize) {
  const at::Tensor example = sharded(hint(), GatheredSize::kNarrow);
  const auto mesh = spec_of(example).mesh;
  const auto graph = traced(gathered, {example}, {{0, 0, "s0"}});
  EXPECT_TRUE(graph->guards.empty());
  Executor executor(graph);
  for (int64_t size = 1; size <= 2 * ranks() + 1; ++size) {
    const at::Tensor in = distribute_tensor(rows(size, 4), mesh, Placement::shard(0));
    EXPECT_TRUE(symbol_oracle(*graph, gathered, {in}).empty()) << size;
    EXPECT_TRUE(same_bits(executor.run({in})[0], rows(size, 4))) << size;
  }
}

// Traced at a size that divides, the condition leaves no narrow: the guard is the only protection.
TEST_P(GatheredSizeTest, TheConditionIsWrongWhereItsGuardIsFalse) {
  const at::Tensor example = sharded(hint(), GatheredSize::kConditional);
  const auto mesh = spec_of(example).mesh;
  CapturedProgram dropped(gathered, {{0, 0, "s0"}}, GuardPolicy::kDrop);
  CapturedProgram kept(gathered, {{0, 0, "s0"}}, GuardPolicy::kKeep);
  EXPECT_TRUE(same_bits(dropped({example})[0], rows(hint(), 4)));
  kept({example});
  const bool divides = hint() % ranks() == 0;
  const std::string graph = to_string(*dropped.graphs()[0]);
  EXPECT_EQ(graph.find("unpad=false") != std::string::npos, divides) << graph;

  for (int64_t size = 1; size <= 2 * ranks() + 1; ++size) {
    const at::Tensor in = distribute_tensor(rows(size, 4), mesh, Placement::shard(0));
    const bool wrong = divides && size % ranks() != 0;
    EXPECT_EQ(!symbol_oracle(*dropped.graphs()[0], gathered, {in}).empty(), wrong) << size;
    EXPECT_EQ(same_bits(dropped({in})[0], rows(size, 4)), !wrong) << size;
    EXPECT_TRUE(same_bits(kept({in})[0], rows(size, 4))) << size;
  }
  // Whatever the hint, both kinds of size were met, so a graph that keeps its guards is two.
  EXPECT_EQ(kept.witness().traces, 2);
  ASSERT_EQ(dropped.ledger().size(), 1u);
  EXPECT_FALSE(dropped.ledger()[0].false_at.empty());
}

INSTANTIATE_TEST_SUITE_P(Ranks, GatheredSizeTest,
                         ::testing::Combine(::testing::Values(2, 3, 4),
                                            ::testing::Values(2, 3, 4, 5, 6, 7, 8, 9)));

// Whichever call comes first: as where a dummy batch is traced before any request.
TEST(GatheredSize, TheSizeThatIsTracedAtDecides) {
  const auto mesh = make_local_mesh(2, GatheredSize::kConditional);
  const auto run = [&](CapturedProgram& program, int64_t size) {
    const at::Tensor in = distribute_tensor(rows(size, 4), mesh, Placement::shard(0));
    return same_bits(program({in})[0], rows(size, 4));
  };
  const auto traced_at = [](int64_t size, GuardPolicy policy) {
    return CapturedProgram(gathered, {{0, 0, "s0", /*at_least=*/0, /*traced_at=*/size}}, policy);
  };
  CapturedProgram even = traced_at(6, GuardPolicy::kDrop);
  EXPECT_FALSE(run(even, 5));
  EXPECT_EQ(even.graphs()[0]->symbols[0].hint, 6);
  CapturedProgram odd = traced_at(7, GuardPolicy::kDrop);
  EXPECT_TRUE(run(odd, 5));
  EXPECT_TRUE(run(odd, 6));
  // Kept, the guard is false at the very call that was to be traced.
  CapturedProgram kept = traced_at(6, GuardPolicy::kKeep);
  EXPECT_TRUE(run(kept, 5));
  EXPECT_TRUE(run(kept, 6));
  EXPECT_EQ(kept.witness().traces, 2);
}

TEST(GatheredSize, TheOracleNamesTheNodeAndBothSizes) {
  const auto mesh = make_local_mesh(2, GatheredSize::kConditional);
  const auto sharded = [&](int64_t size) {
    return distribute_tensor(rows(size, 4), mesh, Placement::shard(0));
  };
  const auto graph = traced(gathered, {sharded(6)}, {{0, 0, "s0"}});
  const auto found = symbol_oracle(*graph, gathered, {sharded(1)});
  ASSERT_EQ(found.size(), 3u);  // the gather, and the local of each rank
  EXPECT_EQ(found[0].str(),
            "s0=1: %0: f32[2*s0 - 2*(s0//2), 4] R = samebits::redistribute(%in0, placement=\"R\", "
            "unpad=false): [2*s0 - 2*(s0//2), 4] evaluates to [2, 4], eager gives [1, 4]");
  EXPECT_THAT(graph->guards[0].str(), HasSubstr("asked at harness/dtensor/dtensor.cpp:"));
}

TEST(GatheredSize, TheOracleRefusesAProgramThatTakesAnotherPath) {
  const Program program = [](const Tensors& in) {
    return Tensors{in[0].sym_size(0).sym_gt(4).guard_bool(__FILE__, __LINE__) ? in[0].neg()
                                                                              : in[0].abs()};
  };
  const auto graph = traced(program, {rows(6)}, {{0, 0, "s0"}});
  EXPECT_TRUE(symbol_oracle(*graph, program, {rows(5)}).empty());
  EXPECT_THAT(error_of([&] { symbol_oracle(*graph, program, {rows(3)}); }),
              HasSubstr("eager calls aten::abs where the graph has "));
}

}  // namespace
}  // namespace samebits
