#include "harness/capture/passes/dead_code.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/capture/executor.h"
#include "harness/capture/passes/effects.h"
#include "harness/capture/print.h"
#include "harness/kernels/functional.h"
#include "tests/capture/support.h"
#include "tests/capture/test_ops.h"

namespace samebits {
namespace {

using passes::dead_code;
using passes::PassResult;
using test_ops::affine;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// unused = affine(affine(in0, c0), c0); return maybe_add(in0)
TEST(DeadCode, RemovesChainsAndTheirConstants) {
  const at::Tensor weight = rows(1);
  const Program program = [&](const Tensors& in) {
    affine(affine(in[0], weight, 1), weight, 2);
    return Tensors{test_ops::maybe_add(in[0], std::nullopt)};
  };
  const auto graph = traced(program, {rows(6)}, {{0, 0, "s0"}});
  PassResult result = dead_code(*graph);
  EXPECT_EQ(to_string(result.graph),
            "inputs:\n"
            "  %in0: f32[s0, 3]\n"
            "nodes:\n"
            "  %0: f32[s0, 3] = samebits_test::maybe_add(%in0)\n"
            "return %0\n");
  EXPECT_THAT(result.log,
              ElementsAre("removed %0: f32[s0, 3] = samebits_test::affine(%in0, %c0, bias=1.0)",
                          "removed %1: f32[s0, 3] = samebits_test::affine(%0, %c0, bias=2.0)"));
  Executor executor(std::make_shared<const ir::Graph>(std::move(result.graph)));
  EXPECT_TRUE(same_bits(executor.run({rows(4)})[0], program({rows(4)})[0]));
}

// store(c0, in0); mark(affine(in0, c0)); halves(in0) -> (used, unused)
TEST(DeadCode, KeepsEffectsMarksAndWhatIsPartlyUsed) {
  const at::Tensor cache = at::zeros({20, 3});
  const auto graph = traced(
      [&](const Tensors& in) {
        test_ops::store(cache, in[0]);
        ops::mark(affine(in[0], cache, 0), "named");
        return Tensors{test_ops::halves(in[0])[0]};
      },
      {rows(6)}, {{0, 0, "s0"}});
  const PassResult result = dead_code(*graph);
  EXPECT_EQ(to_string(result.graph), to_string(*graph));
  EXPECT_THAT(result.log, IsEmpty());
}

TEST(DeadCode, KeepsWhatDrawsRandomNumbers) {
  const auto node_of = [](const char* op) {
    return ir::Node{c10::Dispatcher::singleton().findSchemaOrThrow(op, ""), {}, {0}, false};
  };
  EXPECT_FALSE(passes::is_pure(node_of("aten::bernoulli")));
  EXPECT_FALSE(passes::is_pure(node_of("samebits_test::accumulate_")));
  EXPECT_TRUE(passes::is_pure(node_of("samebits_test::affine")));
}

}  // namespace
}  // namespace samebits
