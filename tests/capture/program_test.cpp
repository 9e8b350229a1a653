// Programs traced, printed and run.

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/base/error.h"
#include "harness/capture/captured_program.h"
#include "harness/capture/executor.h"
#include "harness/capture/guard_watch.h"
#include "harness/capture/print.h"
#include "harness/capture/tracer.h"
#include "harness/dispatch/dispatch_mode.h"
#include "tests/capture/support.h"
#include "tests/capture/test_ops.h"

namespace samebits {
namespace {

using test_ops::affine;
using ::testing::HasSubstr;

// in0 -> halves -> (a, b); join(b, a, in0) -> repeat(n) -> affine with a constant
Tensors shuffle(const Tensors& in, const at::Tensor& weight) {
  const Tensors half = test_ops::halves(in[0]);
  const at::Tensor joined = test_ops::join({half[1], half[0], in[0]});
  return {affine(test_ops::repeat_rows(joined, in[0].sym_size(0)), weight, 0.25)};
}

TEST(Trace, PrintsTheGraph) {
  const at::Tensor weight = rows(1);
  const auto graph =
      traced([&](const Tensors& in) { return shuffle(in, weight); }, {rows(6)}, {{0, 0, "s0"}});
  EXPECT_EQ(to_string(*graph),
            "inputs:\n"
            "  %in0: f32[s0, 3]\n"
            "constants:\n"
            "  %c0: f32[1, 3]\n"
            "nodes:\n"
            "  [%0: f32[s0//2, 3], %1: f32[s0 - s0//2, 3]] = samebits_test::halves(%in0)\n"
            "  %2: f32[2*s0, 3] = samebits_test::join([%1, %0, %in0])\n"
            "  %3: f32[2*s0*s0, 3] = samebits_test::repeat_rows(%2, times=s0)\n"
            "  %4: f32[2*s0*s0, 3] = samebits_test::affine(%3, %c0, bias=0.25)\n"
            "return %4\n");
}

TEST(Trace, RunsNothing) {
  const int before = test_ops::kernel_runs();
  const at::Tensor weight = rows(1);
  traced([&](const Tensors& in) { return shuffle(in, weight); }, {rows(6)}, {{0, 0, "s0"}});
  EXPECT_EQ(test_ops::kernel_runs(), before);
}

TEST(Executor, ServesEverySizeWithTheBitsOfEager) {
  const at::Tensor weight = rows(1);
  const Program program = [&](const Tensors& in) { return shuffle(in, weight); };
  Executor executor(traced(program, {rows(6)}, {{0, 0, "s0"}}));
  for (int64_t n = 0; n <= 17; ++n) {
    EXPECT_TRUE(same_bits(executor.run({rows(n)})[0], program({rows(n)})[0])) << n;
  }
  EXPECT_EQ(executor.nodes_executed(), 18 * 4);
  // The twin: another constant gives other bits, so equality above is not vacuous.
  const at::Tensor other = weight + 1e-6f;
  EXPECT_FALSE(same_bits(executor.run({rows(5)})[0], shuffle({rows(5)}, other)[0]));
}

TEST(Executor, SeesConstantsThatChangeInPlace) {
  at::Tensor weight = rows(1).clone();
  const Program program = [&](const Tensors& in) { return Tensors{affine(in[0], weight, 0)}; };
  Executor executor(traced(program, {rows(4)}, {{0, 0, "s0"}}));
  const at::Tensor first = executor.run({rows(4)})[0];
  weight.mul_(3);
  const at::Tensor second = executor.run({rows(4)})[0];
  EXPECT_FALSE(same_bits(first, second));
  EXPECT_TRUE(same_bits(second, program({rows(4)})[0]));
}

// store(cache, in0); cache = accumulate_(cache, in0); out = affine(cache, in1)
TEST(Executor, KeepsEffectsInOrder) {
  at::Tensor cache = at::zeros({20, 3});
  const Program program = [&](const Tensors& in) {
    test_ops::store(cache, in[0]);
    at::Tensor written = test_ops::accumulate_(cache, in[0]);
    test_ops::store(cache, in[0]);
    return Tensors{affine(written, in[1], 0)};
  };
  const Tensors example{rows(6), rows(1)};
  const auto graph = traced(program, example, {{0, 0, "s0"}});
  EXPECT_TRUE(at::equal(cache, at::zeros({20, 3})));
  EXPECT_EQ(to_string(*graph),
            "inputs:\n"
            "  %in0: f32[s0, 3]\n"
            "  %in1: f32[1, 3]\n"
            "constants:\n"
            "  %c0: f32[20, 3]\n"
            "nodes:\n"
            "  samebits_test::store(%c0, %in0)\n"
            "  %c0 = samebits_test::accumulate_(%c0, %in0)\n"
            "  samebits_test::store(%c0, %in0)\n"
            "  %0: f32[20, 3] = samebits_test::affine(%c0, %in1, bias=0.0)\n"
            "return %0\n");
  Executor executor(graph);
  for (const int64_t n : {9, 2, 20, 0}) {
    cache.zero_();
    const at::Tensor expected = program({rows(n), rows(1)})[0];
    cache.zero_();
    EXPECT_TRUE(same_bits(executor.run({rows(n), rows(1)})[0], expected)) << n;
  }
}

TEST(Executor, KeepsUndefinedOptionalsAndFactories) {
  const Program program = [](const Tensors& in) {
    const c10::SymInt n = in[0].sym_size(0);
    const at::Tensor made = test_ops::make({n, 3}, 2.5);
    return Tensors{test_ops::maybe_add(in[0], std::nullopt), test_ops::maybe_add(in[0], made),
                   test_ops::maybe_add(in[0], at::Tensor()), in[0]};
  };
  const auto graph = traced(program, {rows(6)}, {{0, 0, "n"}});
  EXPECT_THAT(to_string(*graph),
              HasSubstr("  %0: f32[n, 3] = samebits_test::make(size=[n, 3], value=2.5)\n"
                        "  %1: f32[n, 3] = samebits_test::maybe_add(%in0)\n"
                        "  %2: f32[n, 3] = samebits_test::maybe_add(%in0, %0)\n"));
  Executor executor(graph);
  const Tensors got = executor.run({rows(11)});
  const Tensors expected = program({rows(11)});
  ASSERT_EQ(got.size(), 4u);
  for (size_t i = 0; i < 4; ++i) EXPECT_TRUE(same_bits(got[i], expected[i])) << i;
}

TEST(Executor, LetsValuesGoAfterTheirLastUse) {
  // A mode that counts who holds the chain's values while each step runs.
  struct Watch final : DispatchMode {
    std::vector<size_t> holders;
    void call(const c10::OperatorHandle& op, torch::jit::Stack* stack) override {
      holders.push_back((*stack)[stack->size() - op.schema().arguments().size()].use_count());
      op.callBoxed(stack);
    }
  };
  const Program chain = [](const Tensors& in) {
    at::Tensor x = in[0];
    for (int i = 0; i < 3; ++i) x = test_ops::maybe_add(x, std::nullopt);
    return Tensors{x};
  };
  Executor executor(traced(chain, {rows(6)}, {}));
  Watch watch;
  const Tensors inputs{rows(6)};
  {
    const DispatchModeGuard on(watch);
    executor.run(inputs);
  }
  ASSERT_EQ(watch.holders.size(), 3u);
  EXPECT_EQ(watch.holders[1], 1u);  // only the call's own argument
  EXPECT_EQ(watch.holders[2], 1u);
}

TEST(Executor, RefusesInputsThatWereNotTraced) {
  const Program program = [](const Tensors& in) { return Tensors{affine(in[0], in[1], 0)}; };
  Executor executor(traced(program, {rows(6), rows(6)}, {{0, 0, "s"}, {1, 0, "s"}}));
  EXPECT_EQ(error_of([&] { executor.run({rows(5)}); }),
            "captured program: found 1 inputs, expected 2");
  EXPECT_EQ(error_of([&] {
              executor.run({rows(5), rows(4)});
            }),
            "captured program, input 1, size of dimension 0: found 4, expected 5 (s)");
  EXPECT_EQ(error_of([&] {
              executor.run({rows(5, 2), rows(5, 2)});
            }),
            "captured program, input 0, size of dimension 1: found 2, expected 3");
  EXPECT_EQ(error_of([&] {
              executor.run({rows(5).to(at::kDouble), rows(5)});
            }),
            "captured program, input 0, dtype: found Double, expected Float");
  EXPECT_NO_THROW(executor.run({rows(5), rows(5)}));
}

TEST(Trace, RefusesDataDependence) {
  const std::vector<DynamicDim> dims{{0, 0, "s0"}};
  const auto tracing = [&](const Program& program) {
    return error_of([&] { traced(program, {rows(6)}, dims); });
  };
  EXPECT_THAT(tracing([](const Tensors& in) {
                in[0].item();
                return in;
              }),
              HasSubstr("operator aten::item returns Scalar, which depends on data"));
  EXPECT_THAT(tracing([](const Tensors& in) { return Tensors{at::nonzero(in[0])}; }),
              HasSubstr("aten::nonzero gives a size that depends on data"));
  EXPECT_THAT(tracing([](const Tensors& in) {
                in[0].data_ptr<float>();
                return in;
              }),
              HasSubstr("a tensor without data: the program reads values while it is traced"));
  EXPECT_THAT(tracing([](const Tensors& in) {
                in[0].sizes();
                return in;
              }),
              HasSubstr("sizes() of a tensor with symbolic sizes"));
  EXPECT_THAT(tracing([](const Tensors& in) { return Tensors{test_ops::without_rule(in[0])}; }),
              HasSubstr("operator samebits_test::without_rule has no shape rule"));
  at::Tensor kept;
  traced(
      [&](const Tensors& in) {
        kept = in[0];
        return in;
      },
      {rows(6)}, dims);
  EXPECT_THAT(tracing([&](const Tensors& in) { return Tensors{affine(in[0], kept, 0)}; }),
              HasSubstr("of another trace"));
}

TEST(Trace, RefusesDimensionsThatDoNotFit) {
  const Program program = [](const Tensors& in) { return in; };
  EXPECT_EQ(error_of([&] {
              traced(program, {rows(6), rows(5)}, {{0, 0, "s"}, {1, 0, "s"}});
            }),
            "symbol s: found sizes 6 and 5, expected one size");
  EXPECT_EQ(error_of([&] {
              traced(program, {rows(6)}, {{0, 2, "s"}});
            }),
            "dynamic dimension 2 of input 0 (s): found 2 dimensions, expected that dimension");
  EXPECT_EQ(error_of([&] {
              traced(program, {rows(6)}, {{1, 0, "s"}});
            }),
            "dynamic dimension 0 of input 1 (s): found 1 inputs, expected that input");
}

// Adds 1 if there are more than 4 rows, else 2: a branch on a size.
Tensors branching(const Tensors& in) {
  const bool many = in[0].sym_size(0).sym_gt(4).guard_bool(__FILE__, __LINE__);
  return {affine(in[0], in[1], many ? 1 : 2)};
}

TEST(CapturedProgram, KeepRetracesWhereAGuardIsFalse) {
  CapturedProgram captured(branching, {{0, 0, "s0"}}, GuardPolicy::kKeep);
  for (const int64_t n : {6, 7, 4, 3, 9, 5, 0}) {
    EXPECT_TRUE(same_bits(captured({rows(n), rows(1)})[0], branching({rows(n), rows(1)})[0])) << n;
  }
  EXPECT_EQ(captured.witness().traces, 2);
  EXPECT_EQ(captured.witness().runs, 7);
  EXPECT_EQ(captured.witness().nodes_executed, 7);
  ASSERT_EQ(captured.graphs().size(), 2u);
  EXPECT_THAT(
      captured.graphs()[0]->guards[0].str(),
      ::testing::MatchesRegex("s0 >= 5  \\(asked at tests/capture/program_test.cpp:[0-9]+\\)"));
  EXPECT_THAT(captured.graphs()[1]->guards[0].str(), HasSubstr("s0 <= 4"));
  // Of the first graph: false at 4, 3 and 0, where the second served.
  EXPECT_EQ(captured.ledger().size(), 2u);
  EXPECT_EQ(captured.ledger()[0].false_at.size(), 3u);
  for (const auto& at : captured.ledger()[0].false_at) EXPECT_EQ(at.served, 0);
  EXPECT_TRUE(captured.ledger()[1].false_at.empty());
}

// The ledger does not take the word of whoever let it pass.
TEST(CapturedProgram, AKeptGuardThatPassesWhereItIsFalseIsOnTheLedger) {
  struct Once final : GuardWatch {
    bool passes(const std::string& condition, const std::string&,
                const std::string& sizes) override {
      EXPECT_EQ(condition, "s0 >= 5");
      EXPECT_EQ(sizes, "s0=3");
      return asked++ == 0;
    }
    int asked = 0;
  } once;
  CapturedProgram captured(branching, {{0, 0, "s0"}}, GuardPolicy::kKeep);
  const auto run = [&] { return captured({rows(3), rows(1)})[0]; };
  captured({rows(6), rows(1)});
  const GuardWatchGuard watch(once);
  EXPECT_TRUE(same_bits(run(), affine(rows(3), rows(1), 1)));
  EXPECT_EQ(captured.ledger()[0].false_at.at(0).served, 1);
  EXPECT_TRUE(same_bits(run(), branching({rows(3), rows(1)})[0]));
  EXPECT_EQ(once.asked, 2);
  EXPECT_EQ(captured.ledger()[0].false_at.at(0).served, 1);
}

// The negative control: a dropped guard gives wrong bits, and the ledger says which and where.
TEST(CapturedProgram, DropRunsTheWrongBranchAndSaysSo) {
  CapturedProgram captured(branching, {{0, 0, "s0"}}, GuardPolicy::kDrop);
  const auto run = [&](int64_t n) { return captured({rows(n), rows(1)})[0]; };
  EXPECT_TRUE(same_bits(run(6), branching({rows(6), rows(1)})[0]));
  EXPECT_TRUE(same_bits(run(3), affine(rows(3), rows(1), 1)));
  EXPECT_FALSE(same_bits(run(3), branching({rows(3), rows(1)})[0]));
  run(1);
  EXPECT_EQ(captured.witness().traces, 1);
  EXPECT_EQ(captured.witness().guards_false, 3);
  EXPECT_EQ(captured.witness().guards_checked, 3);  // not by the first call, which traced
  ASSERT_EQ(captured.ledger().size(), 1u);
  const GuardRecord record = captured.ledger()[0];
  EXPECT_THAT(record.guard, HasSubstr("s0 >= 5"));
  EXPECT_EQ(record.asked_at, "s0=6");
  EXPECT_EQ(record.checked, 3);
  ASSERT_EQ(record.false_at.size(), 2u);
  EXPECT_EQ(record.false_at[0].sizes, "s0=3");
  EXPECT_EQ(record.false_at[0].times, 2);
  EXPECT_EQ(record.false_at[0].served, 2);
  EXPECT_EQ(record.false_at[1].sizes, "s0=1");
  EXPECT_THROW(captured({rows(3, 2), rows(1, 2)}), InputError);
}

TEST(CapturedProgram, KeepTracesAgainForOtherStaticSizes) {
  CapturedProgram captured(branching, {{0, 0, "s0"}}, GuardPolicy::kKeep);
  captured({rows(6), rows(1)});
  EXPECT_EQ(captured({rows(6, 2), rows(1, 2)})[0].size(1), 2);
  EXPECT_EQ(captured.witness().traces, 2);
}

TEST(Guards, NameTheRuleThatAskedAndTheSiteThatWasTraced) {
  const Program program = [](const Tensors& in) { return Tensors{test_ops::demanding(in[0])}; };
  const auto graph = traced(program, {rows(6)}, {{0, 0, "s0"}});
  ASSERT_EQ(graph->guards.size(), 1u);
  EXPECT_THAT(
      graph->guards[0].str(),
      ::testing::MatchesRegex("s0 >= 2  \\(asked at tests/capture/test_ops.cpp:[0-9]+ while "
                              "tracing samebits_test::demanding\\)"));
  // What a declared bound decides asks nothing.
  EXPECT_TRUE(traced(program, {rows(6)}, {{0, 0, "s0", /*at_least=*/2}})->guards.empty());
}

TEST(Trace, HidesItsCallsFromAModeAroundIt) {
  // Nothing is redispatched while tracing; the executor's calls are seen.
  struct Count final : DispatchMode {
    int calls = 0;
    void call(const c10::OperatorHandle& op, torch::jit::Stack* stack) override {
      ++calls;
      op.callBoxed(stack);
    }
  } count;
  const Tensors inputs{rows(6), rows(1)};
  const auto graph = [&] {
    const DispatchModeGuard on(count);
    return traced([](const Tensors& in) { return Tensors{affine(in[0], in[1], 0)}; }, inputs, {});
  }();
  EXPECT_EQ(count.calls, 0);
  Executor executor(graph);
  const DispatchModeGuard on(count);
  executor.run(inputs);
  EXPECT_EQ(count.calls, 1);
}

}  // namespace
}  // namespace samebits
