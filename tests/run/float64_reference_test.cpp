// In float32, whose roundings are small, the contract's operators are near to what they mean.
#include "harness/run/float64_reference.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <functional>

#include "harness/kernels/functional.h"
#include "harness/observe/computation_recorder.h"
#include "harness/observe/step_observer.h"
#include "harness/run/in_process_arm.h"
#include "tests/run/graphless_workload.h"

namespace samebits {
namespace {

class One : public testing::GraphlessWorkload {
 public:
  explicit One(std::function<at::Tensor()> compute) : compute_(std::move(compute)) {}
  std::string step(int64_t, Observer& observer) override {
    observer.begin_phase("train");
    ops::mark(compute_(), "out#0");
    return {};
  }

 private:
  std::function<at::Tensor()> compute_;
};

// The last call that leads to what is computed, and its result.
std::pair<Computation::Call, at::Tensor> call_of(const std::function<at::Tensor()>& compute) {
  MemorySink sink;
  One workload(compute);
  TensorKeeper keeper({0, "train", "out#0", 0});
  StepObserver observer(sink, Level::kOp);
  observer.keep_with(keeper);
  run_step(workload, 0, observer);
  const Computation kept = keeper.kept();
  return {kept.calls.back(), kept.values[kept.result].tensor};
}

void expect_near(const std::function<at::Tensor()>& compute, const char* name) {
  const auto [call, result] = call_of(compute);
  ASSERT_EQ(call.name(), name);
  const auto reference = float64_reference(call);
  ASSERT_TRUE(reference) << name;
  EXPECT_EQ(reference->scalar_type(), at::kDouble) << name;
  ASSERT_EQ(reference->sizes(), result.sizes()) << name;
  EXPECT_TRUE(at::allclose(result.to(at::kDouble), *reference, 1e-4, 1e-5)) << name;
  EXPECT_FALSE(at::allclose(result.to(at::kDouble) * 1.01 + 0.01, *reference, 1e-4, 1e-5)) << name;
}

at::Tensor random(at::IntArrayRef sizes) {
  return at::randn(sizes, at::detail::createCPUGenerator(7), at::kFloat);
}

TEST(Float64ReferenceTest, EveryDefinitionIsWhatItsOperatorComputes) {
  const at::Tensor x = random({1, 5, 64});
  const at::Tensor weight = random({16, 64});
  expect_near([&] { return ops::linear(x, weight, 0, 0, at::kFloat); }, "samebits::linear");
  expect_near(
      [&] {
        return ops::linear_dgrad(random({1, 5, 16}), weight, 0);
      },
      "samebits::linear_dgrad");
  expect_near([&] { return ops::rms_norm(x, random({64}), 1e-2, false); }, "samebits::rms_norm");
  expect_near([&] { return ops::silu_mul(x, x, false); }, "samebits::silu_mul");
  expect_near([&] { return ops::residual_add(x, x); }, "samebits::residual_add");
  const at::Tensor ids = at::tensor({3, 0, 15, 7}, at::kLong).view({1, 4});
  expect_near([&] { return ops::embedding(ids, weight, 0); }, "samebits::embedding");
  expect_near(
      [&] {
        return ops::rope(random({1, 4, 2, 16}), random({20, 8}), random({20, 8}), ids, false);
      },
      "samebits::rope");
  expect_near(
      [&] {
        return std::get<0>(ops::log_softmax_gather(random({4, 20}), ids.view({4}), 18));
      },
      "samebits::log_softmax_gather");
}

TEST(Float64ReferenceTest, AttentionIsCausalWithinItsSequences) {
  const at::Tensor q = random({1, 7, 4, 16});
  const at::Tensor k = random({1, 7, 2, 16});
  const at::Tensor v = random({1, 7, 2, 16}) + 1;
  const at::Tensor cu_seqlens = at::tensor({0, 3, 7}, at::kInt);
  expect_near([&] { return std::get<0>(ops::flash_attention(q, k, v, cu_seqlens, 0.25)); },
              "samebits::flash_attention");
  // Pages of four: the first sequence's in page 2, the second's in 0 and 1.
  at::Tensor k_cache = at::zeros({3, 4, 2, 16});
  at::Tensor v_cache = at::zeros({3, 4, 2, 16});
  const at::Tensor slots = at::tensor({8, 9, 10, 0, 1, 2, 3}, at::kLong);
  ops::write_kv(k_cache, v_cache, k, v, slots);
  const at::Tensor table = at::tensor({2, 0, 0, 1}, at::kInt).view({2, 2});
  const at::Tensor lengths = at::tensor({3, 4}, at::kInt);
  expect_near(
      [&] { return ops::paged_attention(q, k_cache, v_cache, table, cu_seqlens, lengths, 0.25); },
      "samebits::paged_attention");
}

TEST(Float64ReferenceTest, TorchsOwnOperatorsAreCalledAgain) {
  expect_near([] { return at::softmax(random({3, 8}), -1); }, "aten::softmax");
}

TEST(Float64ReferenceTest, WhatHasNoDefinitionHasNoReference) {
  const auto [call, result] = call_of([] { return at::ones({3}).add_(at::ones({3})); });
  EXPECT_FALSE(float64_reference(call));
}

}  // namespace
}  // namespace samebits
