#include "harness/plant/planter.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "harness/dtensor/dtensor.h"
#include "harness/graph/make_pool.h"
#include "harness/kernels/functional.h"

namespace samebits {
namespace {

Fault fault_of(FaultKind kind, const std::string& op, int64_t call) {
  Fault fault;
  fault.kind = kind;
  fault.op = op;
  fault.phase = "train";
  fault.call = call;
  return fault;
}

// Runs `program` once, in step 0, under the planter.
template <typename Program>
void run_in(Planter& planter, const Program& program) {
  const OperatorWatchGuard watch(planter);
  planter.begin_step(0);
  planter.begin_phase("train");
  program();
}

TEST(Planter, FlipsOneBitOfOneElementOfTheCallThatIsMeant) {
  const at::Tensor x = at::ones({4});
  Fault fault = fault_of(FaultKind::kFlip, "aten::mul", 1);
  fault.step = 1;
  fault.element = 2;
  Planter planter(fault);
  std::vector<at::Tensor> products;
  {
    const OperatorWatchGuard watch(planter);
    for (int64_t step = 0; step < 3; ++step) {
      planter.begin_step(step);
      for (const char* phase : {"rollout", "train"}) {
        planter.begin_phase(phase);
        for (int call = 0; call < 2; ++call) products.push_back(at::mul(x, x));
      }
      EXPECT_EQ(planter.witness().has_value(), step == 1);
      if (step != 1) continue;
      const FaultWitness expected{"aten::mul", 1, 0, 1, 2, 0x3f800000, 0x3f800001};
      EXPECT_EQ(*planter.witness(), expected);
    }
  }
  for (size_t i = 0; i < products.size(); ++i) EXPECT_EQ(at::equal(products[i], x), i != 7) << i;
}

TEST(Planter, WhatNoCallComesToIsNotExecuted) {
  Planter planter(fault_of(FaultKind::kFlip, "aten::mul", 1));
  const at::Tensor x = at::ones({4});
  at::Tensor product;
  run_in(planter, [&] { product = at::mul(x, x); });
  EXPECT_FALSE(planter.witness());
  EXPECT_TRUE(at::equal(product, x));
}

TEST(Planter, LeavesWhatTheCallBeforeLeft) {
  Planter planter(fault_of(FaultKind::kStale, "aten::mul", 1));
  const at::Tensor x = at::ones({3});
  at::Tensor first;
  at::Tensor second;
  run_in(planter, [&] {
    first = at::mul(x, 2);
    second = at::mul(x, 5);
  });
  EXPECT_TRUE(at::equal(second, at::full({3}, 2.0)));
  EXPECT_EQ(planter.witness()->changed, 3);
}

TEST(Planter, LeavesAWriteOut) {
  Planter planter(fault_of(FaultKind::kSkip, "aten::copy_", 0));
  at::Tensor to = at::zeros({3});
  run_in(planter, [&] { to.copy_(at::ones({3})); });
  EXPECT_TRUE(at::equal(to, at::zeros({3})));
  EXPECT_EQ(planter.witness()->changed, 3);
  EXPECT_EQ(planter.witness()->before, 0x3f800000u);
  EXPECT_EQ(planter.witness()->after, 0u);
}

// 1 is lost beside 2^24, where it comes last, and is not where it comes first.
TEST(Planter, SumsFromTheLastTermToTheFirst) {
  Planter planter(fault_of(FaultKind::kOrder, "samebits::linear", 0));
  const at::Tensor x = at::ones({1, 3});
  const at::Tensor weight = at::tensor({16777216.0F, 1.0F, 1.0F}).view({1, 3});
  const auto linear = [&] { return ops::linear(x, weight, 0, 0, at::kFloat).item<float>(); };
  EXPECT_EQ(linear(), 16777216.0F);
  at::Tensor sum;
  run_in(planter, [&] { sum = ops::linear(x, weight, 0, 0, at::kFloat); });
  EXPECT_EQ(sum.item<float>(), 16777218.0F);
}

// Likewise over tokens, into a sum that was begun.
TEST(Planter, SumsAGradientFromTheLastTokenToTheFirst) {
  Planter planter(fault_of(FaultKind::kOrder, "samebits::linear_wgrad_", 0));
  const at::Tensor dy = at::tensor({16777216.0F, 1.0F, 1.0F}).view({3, 1});
  const at::Tensor x = at::ones({3, 1});
  at::Tensor sum = at::full({1, 1}, 4.0);
  run_in(planter, [&] { ops::linear_wgrad_(dy, x, std::nullopt, sum); });
  EXPECT_EQ(sum.item<float>(), 16777222.0F);  // 2 + 2^24, and then 4
  at::Tensor clean = at::full({1, 1}, 4.0);
  ops::linear_wgrad_(dy, x, std::nullopt, clean);
  EXPECT_EQ(clean.item<float>(), 16777220.0F);
  EXPECT_EQ(planter.witness()->changed, 1);
}

// The first query sees the second key, and the last of each sequence what it had seen.
TEST(Planter, LeavesTheMaskOfAttentionOut) {
  Planter planter(fault_of(FaultKind::kMask, "samebits::flash_attention", 0));
  const at::Tensor q = at::zeros({1, 3, 2, 8});
  const at::Tensor k = at::zeros({1, 3, 1, 8});
  const at::Tensor v = at::arange(3.0F).view({1, 3, 1, 1}).expand({1, 3, 1, 8}).contiguous();
  const at::Tensor boundaries = at::tensor({0, 2, 3}, at::kInt);
  at::Tensor out;
  run_in(planter, [&] { out = std::get<0>(ops::flash_attention(q, k, v, boundaries, 1.0)); });
  const at::Tensor seen = out.select(3, 0).select(2, 1).view({3});
  EXPECT_TRUE(at::equal(seen, at::tensor({0.5F, 0.5F, 2.0F}))) << seen;
  EXPECT_EQ(planter.witness()->changed, 2 * 8);  // both heads of the first query
}

// A rank's executions are counted by themselves, so that the same fault is meant where each rank is
// a process.
TEST(Planter, PlantsIntoTheRankThatIsMeant) {
  const auto mesh = make_local_mesh(2);
  const at::Tensor whole = at::ones({2, 4});
  Fault fault = fault_of(FaultKind::kFlip, "aten::mul", 1);
  fault.rank = 1;
  Planter planter(fault);
  std::vector<at::Tensor> products;
  run_in(planter, [&] {
    const at::Tensor x = distribute_tensor(whole, mesh, Placement::shard(0));
    for (int call = 0; call < 3; ++call) products.push_back(at::mul(x, x));
  });
  ASSERT_TRUE(planter.witness());
  EXPECT_EQ(planter.witness()->rank, 1);
  EXPECT_EQ(planter.witness()->caller_call, 1);
  for (size_t i = 0; i < products.size(); ++i) {
    const std::vector<at::Tensor> locals = to_local(products[i]);
    EXPECT_TRUE(at::equal(locals[0], at::ones({1, 4}))) << i;
    EXPECT_EQ(at::equal(locals[1], at::ones({1, 4})), i != 1) << i;
  }

  Planter in_its_process(fault, /*first_rank=*/1);
  at::Tensor second;
  run_in(in_its_process, [&] {
    at::mul(whole, whole);
    second = at::mul(whole, whole);
  });
  EXPECT_FALSE(at::equal(second, whole));
}

// Also where the first rank has executed more: what lies over no mesh counts as its own.
TEST(Planter, SwapsTheShardsOfOneCallOverAMesh) {
  const auto mesh = make_local_mesh(2);
  Planter planter(fault_of(FaultKind::kSwap, "aten::mul", 1));
  std::vector<at::Tensor> products;
  run_in(planter, [&] {
    at::mul(at::ones({1, 2}), 3.0);
    const at::Tensor x =
        distribute_tensor(at::arange(4.0F).view({2, 2}), mesh, Placement::shard(0));
    for (int call = 0; call < 2; ++call) products.push_back(at::mul(x, x));
  });
  ASSERT_TRUE(planter.witness());
  EXPECT_EQ(planter.witness()->changed, 2);
  const std::vector<at::Tensor> swapped = to_local(products[0]);
  EXPECT_TRUE(at::equal(swapped[0], at::tensor({4.0F, 9.0F}).view({1, 2})));
  EXPECT_TRUE(at::equal(swapped[1], at::tensor({0.0F, 1.0F}).view({1, 2})));
  EXPECT_TRUE(at::equal(to_local(products[1])[0], at::tensor({0.0F, 1.0F}).view({1, 2})));
}

TEST(Planter, AGuardPassesTheTimeThatIsMeant) {
  Planter counting{Fault()};
  counting.begin_step(0);
  counting.begin_phase("train");
  EXPECT_FALSE(counting.passes("s0 != 1", "s0 != 1  (asked by the program)", "s0=1"));
  ASSERT_EQ(counting.executions().size(), 1U);
  EXPECT_TRUE(counting.executions()[0].is_guard);

  Planter planter(fault_of(FaultKind::kGuard, "s0 != 1", 1));
  planter.begin_step(0);
  planter.begin_phase("train");
  EXPECT_FALSE(planter.passes("s0 != 1", "s0 != 1  (asked by the program)", "s0=1"));
  EXPECT_FALSE(planter.passes("s1 == 2", "s1 == 2  (asked by the program)", "s1=3"));
  EXPECT_FALSE(planter.witness());
  EXPECT_TRUE(planter.passes("s0 != 1", "s0 != 1  (asked by the program)", "s0=1"));
  EXPECT_FALSE(planter.passes("s0 != 1", "s0 != 1  (asked by the program)", "s0=1"));
  EXPECT_EQ(planter.witness()->caller, "s0 != 1  (asked by the program) at s0=1");
}

TEST(Planter, CountsTheOutermostCallsOnPlainTensors) {
  Planter planter{Fault()};
  const at::Tensor x = at::ones({2, 3});
  const at::Tensor zeros = at::zeros({6});
  run_in(planter, [&] {
    at::linear(x, x);                     // of other operators, which are not counted
    ops::linear(x, x, 0, 0, at::kFloat);  // whose gradient's formula calls it again
    x.view({6}).copy_(zeros);             // of which the view has no result
  });
  std::vector<std::string> names;
  for (const Executed& each : planter.executions()) names.push_back(each.op);
  EXPECT_EQ(names, (std::vector<std::string>{"aten::linear", "samebits::linear", "aten::copy_"}));
  EXPECT_EQ(planter.executions()[1].results.at(0).elements, 4);
  EXPECT_TRUE(planter.executions()[2].results.at(0).is_argument);
}

// The capture itself executes nothing; each replay does.
TEST(Planter, PlantsIntoTheReplayThatIsMeant) {
  const auto pool = make_pool(at::kCPU);
  const StaticBuffer input = pool->make_buffer("x", {1, 2}, at::kFloat);
  const at::Tensor weight = at::ones({1, 2});
  Fault fault = fault_of(FaultKind::kFlip, "samebits::linear", 1);
  Planter planter(fault);
  std::vector<float> sums;
  run_in(planter, [&] {
    const auto graph = pool->capture(
        "graph",
        [&](const std::vector<at::Tensor>& inputs) {
          return std::vector<at::Tensor>{ops::linear(inputs[0], weight, 0, 0, at::kFloat)};
        },
        {input.memory});
    EXPECT_FALSE(planter.witness());
    for (int replay = 0; replay < 3; ++replay) {
      pool->copy(input, at::ones({1, 2}), std::nullopt);
      graph->replay();
      sums.push_back(pool->read({graph->output(0)})[0].item<float>());
    }
  });
  EXPECT_EQ(sums[0], 2.0F);
  EXPECT_EQ(sums[1], std::nextafter(2.0F, 3.0F));
  EXPECT_EQ(sums[2], 2.0F);
  EXPECT_EQ(planter.witness()->changed, 1);
}

}  // namespace
}  // namespace samebits
