#include "harness/capture/passes/common_subexpressions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/capture/executor.h"
#include "harness/capture/print.h"
#include "harness/dtensor/dtensor.h"
#include "harness/kernels/functional.h"
#include "tests/capture/support.h"
#include "tests/capture/test_ops.h"

namespace samebits {
namespace {

using passes::common_subexpressions;
using passes::PassResult;
using test_ops::affine;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

size_t merges(const Program& program, const Tensors& inputs) {
  const auto graph = traced(program, inputs, {{0, 0, "s0"}});
  const PassResult result = common_subexpressions(*graph);
  EXPECT_EQ(result.graph.nodes.size() + result.log.size(), graph->nodes.size());
  if (result.log.empty()) {
    EXPECT_EQ(to_string(result.graph), to_string(*graph));
  }
  return result.log.size();
}

// join(affine(affine(in0)), affine(affine(in0))): two merges, the second by way of the first.
TEST(CommonSubexpressions, MergesCallsOfMergedCalls) {
  const at::Tensor weight = rows(1);
  const Program program = [&](const Tensors& in) {
    const auto twice = [&] { return affine(affine(in[0], weight, 0.25), weight, 0.5); };
    const at::Tensor first = twice();
    const at::Tensor second = twice();
    ops::mark(second, "second");
    return Tensors{test_ops::join({first, second})};
  };
  const auto graph = traced(program, {rows(6)}, {{0, 0, "s0"}});
  PassResult result = common_subexpressions(*graph);
  EXPECT_EQ(to_string(result.graph),
            "inputs:\n"
            "  %in0: f32[s0, 3]\n"
            "constants:\n"
            "  %c0: f32[1, 3]\n"
            "nodes:\n"
            "  %0: f32[s0, 3] = samebits_test::affine(%in0, %c0, bias=0.25)\n"
            "  %1: f32[s0, 3] = samebits_test::affine(%0, %c0)   # second\n"
            "  samebits::mark(%1, site=\"second\")\n"
            "  %2: f32[2*s0, 3] = samebits_test::join([%1, %1])\n"
            "return %2\n");
  EXPECT_THAT(result.log,
              ElementsAre("merged into %0: %2: f32[s0, 3] = samebits_test::affine(%in0, %c0, "
                          "bias=0.25)",
                          "merged into %1: %3: f32[s0, 3] = samebits_test::affine(%2, %c0)   "
                          "# second"));
  Executor executor(std::make_shared<const ir::Graph>(std::move(result.graph)));
  for (const int64_t n : {0, 1, 7}) {
    EXPECT_TRUE(same_bits(executor.run({rows(n)})[0], program({rows(n)})[0])) << n;
  }
}

// in0 -> affine(left bias), affine(right bias) -> join
Program two_biases(double left, double right) {
  return [=](const Tensors& in) {
    return Tensors{test_ops::join({affine(in[0], in[1], left), affine(in[0], in[1], right)})};
  };
}

TEST(CommonSubexpressions, SeesOneBitOfAConstant) {
  EXPECT_EQ(merges(two_biases(0.25, 0.25), {rows(6), rows(1)}), 1u);
  EXPECT_EQ(merges(two_biases(0.25, std::nextafter(0.25, 1)), {rows(6), rows(1)}), 0u);
  EXPECT_EQ(merges(two_biases(0.0, -0.0), {rows(6), rows(1)}), 0u);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(merges(two_biases(nan, nan), {rows(6), rows(1)}), 1u);
}

TEST(CommonSubexpressions, SeesOtherValuesAndSizes) {
  const auto repeats = [](int64_t more) {
    return [more](const Tensors& in) {
      const c10::SymInt n = in[0].sym_size(0);
      return Tensors{test_ops::join(
          {test_ops::repeat_rows(in[0], n), test_ops::repeat_rows(in[0], n + more)})};
    };
  };
  EXPECT_EQ(merges(repeats(0), {rows(6)}), 1u);
  EXPECT_EQ(merges(repeats(1), {rows(6)}), 0u);
  const Program other_inputs = [](const Tensors& in) {
    return Tensors{test_ops::join({affine(in[0], in[1], 0), affine(in[0], in[2], 0)})};
  };
  EXPECT_EQ(merges(other_inputs, {rows(6), rows(1), rows(1)}), 0u);
}

// affine(in1, c) -> write to `written` -> affine(in1, c) -> join
Program with_write_between(const at::Tensor& read, const at::Tensor& written) {
  return [=](const Tensors& in) {
    const at::Tensor before = affine(in[1], read, 0);
    if (written.defined()) test_ops::store(written, in[0]);
    return Tensors{test_ops::join({before, affine(in[1], read, 0)})};
  };
}

TEST(CommonSubexpressions, RespectsAWriteBetween) {
  const at::Tensor cache = at::zeros({20, 3});
  const Tensors inputs{rows(6), rows(20)};
  EXPECT_EQ(merges(with_write_between(cache, cache), inputs), 0u);
  EXPECT_EQ(merges(with_write_between(cache, {}), inputs), 1u);
  // What merging would have given: the first read twice.
  const Program program = with_write_between(cache, cache);
  const at::Tensor joined = program(inputs)[0];
  EXPECT_FALSE(same_bits(joined.narrow(0, 0, 20), joined.narrow(0, 20, 20)));
}

TEST(CommonSubexpressions, RespectsAWriteToAnAlias) {
  const at::Tensor whole = at::zeros({40, 3});
  const at::Tensor low = whole.narrow(0, 0, 20);
  const at::Tensor apart = at::zeros({20, 3});
  // Views of one storage may overlap, whether they do or not.
  EXPECT_EQ(merges(with_write_between(low, whole.narrow(0, 20, 20)), {rows(6), rows(20)}), 0u);
  EXPECT_EQ(merges(with_write_between(low, apart), {rows(6), rows(20)}), 0u);  // may be in1
}

// view = in2.view(...); affine(c, in1) -> store(view) -> affine(c, in1)
TEST(CommonSubexpressions, RespectsAWriteThroughAView) {
  const at::Tensor weight = rows(20);
  const auto program = [&](bool write_result) {
    return [&weight, write_result](const Tensors& in) {
      const at::Tensor base = affine(weight, weight, 1);
      const at::Tensor view = base.view({20, 3});
      const at::Tensor before = affine(view, weight, 0);
      if (write_result) test_ops::store(base, in[0]);
      return Tensors{test_ops::join({before, affine(view, weight, 0)})};
    };
  };
  EXPECT_EQ(merges(program(true), {rows(6)}), 0u);
  EXPECT_EQ(merges(program(false), {rows(6)}), 1u);
}

TEST(CommonSubexpressions, KeepsApartWhatIsWrittenLater) {
  const auto program = [](bool write) {
    return [write](const Tensors& in) {
      at::Tensor a = affine(in[0], in[1], 0);
      const at::Tensor b = affine(in[0], in[1], 0);
      if (write) test_ops::accumulate_(a, in[1]);
      return Tensors{test_ops::join({a, b})};
    };
  };
  EXPECT_EQ(merges(program(true), {rows(6), rows(1)}), 0u);
  EXPECT_EQ(merges(program(false), {rows(6), rows(1)}), 1u);
}

TEST(CommonSubexpressions, ReturnsTwoTensorsWhereTheProgramDoes) {
  const auto program = [](bool both) {
    return [both](const Tensors& in) {
      const at::Tensor a = affine(in[0], in[1], 0);
      const at::Tensor b = affine(in[0], in[1], 0);
      return both ? Tensors{a, b} : Tensors{a, affine(b, in[1], 1)};
    };
  };
  EXPECT_EQ(merges(program(true), {rows(6), rows(1)}), 0u);
  EXPECT_EQ(merges(program(false), {rows(6), rows(1)}), 1u);
}

TEST(CommonSubexpressions, MergesPlacementsAndTellsThemApart) {
  const auto mesh = make_local_mesh(2);
  const at::Tensor in = distribute_tensor(rows(6), mesh, Placement::shard(0));
  const auto program = [](Placement second) {
    return [second](const Tensors& x) {
      return Tensors{test_ops::join({full_tensor(redistribute(x[0], Placement::replicate())),
                                     full_tensor(redistribute(x[0], second))})};
    };
  };
  EXPECT_EQ(merges(program(Placement::replicate()), {in}), 2u);
  EXPECT_EQ(merges(program(Placement::shard(1)), {in}), 0u);
}

TEST(CommonSubexpressions, TellsMeshesApart) {
  const auto mesh = make_local_mesh(1);
  const auto program = [&](const c10::intrusive_ptr<DeviceMesh>& second) {
    return [&mesh, second](const Tensors& in) {
      const at::Tensor x = affine(in[0], in[1], 0);
      return Tensors{test_ops::join({full_tensor(from_local({x}, mesh, Placement::shard(0))),
                                     full_tensor(from_local({x}, second, Placement::shard(0)))})};
    };
  };
  EXPECT_EQ(merges(program(mesh), {rows(6), rows(1)}), 2u);
  EXPECT_EQ(merges(program(make_local_mesh(1)), {rows(6), rows(1)}), 0u);
}

}  // namespace
}  // namespace samebits
