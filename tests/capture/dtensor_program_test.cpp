// Programs with DTensors: traced with symbolic global sizes, run on uneven shards.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/capture/executor.h"
#include "harness/capture/print.h"
#include "harness/dtensor/dtensor.h"
#include "harness/dtensor/propagate.h"
#include "tests/capture/support.h"
#include "tests/capture/test_ops.h"

namespace samebits {
namespace {

using test_ops::affine;

// Elementwise in its first argument; the second is needed whole.
OpSharding affine_strategy(const OpCall& call) {
  return {{call.placements[0], Placement::replicate()}, {call.placements[0]}, {}};
}
SAMEBITS_STRATEGY("samebits_test::affine", affine_strategy);

// in0 S(0) -> affine -> R -> each rank's local -> S(0) -> each rank's local -> whole
Tensors round_trip(const Tensors& in, const c10::intrusive_ptr<DeviceMesh>& mesh,
                   const at::Tensor& weight) {
  const at::Tensor sharded = affine(in[0], weight, 0.5);
  const at::Tensor whole = redistribute(sharded, Placement::replicate());
  Tensors locals = to_local(whole);
  for (at::Tensor& local : locals) local = affine(local, weight, 1.5);
  const at::Tensor again =
      redistribute(from_local(locals, mesh, Placement::replicate()), Placement::shard(0));
  locals = to_local(again);
  for (at::Tensor& local : locals) local = affine(local, weight, -0.25);
  const at::Tensor wrapped = from_local(locals, mesh, Placement::shard(0));
  return {full_tensor(wrapped), wrapped};
}

class DTensorProgram : public ::testing::TestWithParam<int> {};

TEST_P(DTensorProgram, ServesEveryUnevenSizeWithTheBitsOfEager) {
  const auto mesh = make_local_mesh(GetParam());
  const at::Tensor weight = rows(1);
  const auto sharded = [&](int64_t n) {
    return distribute_tensor(rows(n), mesh, Placement::shard(0));
  };
  const Program program = [&](const Tensors& in) { return round_trip(in, mesh, weight); };
  Executor executor(traced(program, {sharded(6)}, {{0, 0, "s0"}}));
  EXPECT_TRUE(executor.graph().guards.empty());
  for (int64_t n = 0; n <= 13; ++n) {
    const Tensors expected = program({sharded(n)});
    const Tensors got = executor.run({sharded(n)});
    EXPECT_TRUE(same_bits(got[0], expected[0])) << n;
    ASSERT_TRUE(is_dtensor(got[1]));
    for (int rank = 0; rank < GetParam(); ++rank) {
      EXPECT_TRUE(same_bits(locals_of(got[1])[rank], locals_of(expected[1])[rank])) << n;
    }
  }
  // The twin: one bias further, other bits.
  const at::Tensor other = affine(executor.run({sharded(5)})[0], weight, 1e-3);
  EXPECT_FALSE(same_bits(other, program({sharded(5)})[0]));
}

INSTANTIATE_TEST_SUITE_P(Ranks, DTensorProgram, ::testing::Values(1, 2, 3, 4));

TEST(DTensorTrace, PrintsPlacements) {
  const auto mesh = make_local_mesh(2);
  const at::Tensor weight = rows(1);
  const at::Tensor in = distribute_tensor(rows(6), mesh, Placement::shard(0));
  const auto graph = traced([&](const Tensors& inputs) { return round_trip(inputs, mesh, weight); },
                            {in}, {{0, 0, "s0"}});
  EXPECT_THAT(
      to_string(*graph),
      ::testing::StartsWith("inputs:\n"
                            "  %in0: f32[s0, 3] S(0)\n"
                            "constants:\n"
                            "  %c0: f32[1, 3]\n"
                            "nodes:\n"
                            "  %0: f32[s0, 3] S(0) = samebits_test::affine(%in0, %c0)\n"
                            "  %1: f32[s0, 3] R = samebits::redistribute(%0, placement=\"R\")\n"
                            "  [%2: f32[s0, 3], %3: f32[s0, 3]] = samebits::to_local(%1)\n"));
  EXPECT_THAT(to_string(*graph),
              ::testing::HasSubstr("[%8: f32[s0 - s0//2, 3], %9: f32[s0//2, 3]] = "
                                   "samebits::to_local(%7)\n"));
}

TEST(DTensorTrace, RefusesWhatTheOperatorsRefuse) {
  const auto mesh = make_local_mesh(2);
  const at::Tensor in = distribute_tensor(rows(6), mesh, Placement::shard(0));
  EXPECT_THAT(error_of([&] {
                traced([](const Tensors& x) { return Tensors{test_ops::demanding(x[0])}; }, {in},
                       {});
              }),
              ::testing::HasSubstr("samebits_test::demanding"));
  EXPECT_THAT(
      error_of([&] {
        traced([](const Tensors& x) { return Tensors{redistribute(x[0], Placement::partial())}; },
               {in}, {});
      }),
      ::testing::HasSubstr("S(0), which cannot become P(sum)"));
}

TEST(DTensorProgramInputs, AreCheckedForTheirPlacement) {
  const auto mesh = make_local_mesh(2);
  const at::Tensor weight = rows(1);
  const at::Tensor in = distribute_tensor(rows(6), mesh, Placement::shard(0));
  Executor executor(
      traced([&](const Tensors& x) { return Tensors{affine(x[0], weight, 0)}; }, {in}, {}));
  EXPECT_EQ(error_of([&] { executor.run({redistribute(in, Placement::replicate())}); }),
            "captured program, input 0, placements: found \"R\", expected \"S(0)\"");
  EXPECT_EQ(error_of([&] { executor.run({rows(6)}); }),
            "captured program, input 0, placements: found \"\", expected \"S(0)\"");
}

}  // namespace
}  // namespace samebits
