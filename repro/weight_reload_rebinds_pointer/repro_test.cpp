#include "repro/weight_reload_rebinds_pointer/repro.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/base/error.h"
#include "harness/detect/findings.h"
#include "harness/kernels/device.h"
#include "harness/workload/grpo.h"
#include "harness/workload/weight_sync.h"
#include "tests/support/source_path.h"

namespace samebits {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class WeightReloadTest : public testing::TestWithParam<c10::DeviceType> {
 protected:
  void SetUp() override {
    if (const std::string reason = why_no_cuda(); GetParam() == c10::kCUDA && !reason.empty()) {
      GTEST_SKIP() << reason;
    }
  }
  static Subject subject(Reload reload) { return reloaded_weight(reload, GetParam()); }
};

TEST_P(WeightReloadTest, InPlaceIsSeenByTheGraph) {
  const Outcome outcome = run_replayed(subject(Reload::kCopy));
  EXPECT_FALSE(outcome.went_wrong) << outcome.evidence;
  EXPECT_THAT(moved_addresses(subject(Reload::kCopy)), IsEmpty());
}

// Nothing that the graph holds has moved: only what the program takes now says that it should have.
TEST_P(WeightReloadTest, OldWeightsThatSomebodyHoldsAreServedSilently) {
  EXPECT_THAT(run_replayed(subject(Reload::kRebind)).evidence, HasSubstr("other bits than eager"));
  EXPECT_THAT(moved_addresses(subject(Reload::kRebind)),
              ElementsAre(HasSubstr(
                  "the Float [16, 8] that samebits::linear takes is elsewhere than at capture")));
}

TEST_P(WeightReloadTest, OldWeightsThatNobodyHoldsAreRefused) {
  EXPECT_THAT(run_replayed(subject(Reload::kRebindAndFree)).evidence,
              HasSubstr("the Float [16, 8] that samebits::linear takes was freed"));
  EXPECT_THAT(moved_addresses(subject(Reload::kRebindAndFree)),
              ElementsAre(HasSubstr("[16, 8] that samebits::linear takes was freed")));
}

TEST_P(WeightReloadTest, WhatIsDerivedOfAWeightIsOneToo) {
  EXPECT_THAT(run_replayed(subject(Reload::kRebuildTheirCopy)).evidence,
              HasSubstr("the Float [8, 16] that samebits::linear takes was freed"));
}

INSTANTIATE_TEST_SUITE_P(Devices, WeightReloadTest, testing::Values(c10::kCPU, c10::kCUDA),
                         [](const auto& info) { return c10::DeviceTypeName(info.param); });

// The whole model in the modes that hold addresses: weight sync, and new tensors in place of it.
class WeightReloadModelTest : public testing::TestWithParam<Execution> {
 protected:
  void SetUp() override {
    arm_.model = source_path("cases/models/tiny");
    arm_.generator.execution = GetParam();
    trained_ = make_model(arm_, arm_.trainer, parallel_);
    for (Parameter& parameter : trained_->parameters()) parameter.tensor.mul_(0.5);
  }

  // The logprobs of a prompt, before and after `reload`, by one engine.
  template <typename F>
  std::pair<std::vector<float>, std::vector<float>> generate(const ArmSettings& arm, F&& reload) {
    const auto model = make_model(arm, arm.generator, parallel_);
    const auto engine = make_engine(arm, *model, /*sequences=*/1, /*longest=*/16);
    const Sampling sampling{/*seed=*/1, /*max_new_tokens=*/2, /*temperature=*/1.0, 0, 1.0};
    const auto logprobs = [&] {
      return engine->generate({{0, {1, 2, 3, 4}, {}}}, sampling).at(0).logprobs;
    };
    std::vector<float> before = logprobs();
    reload(*model);
    return {before, logprobs()};
  }

  std::vector<float> expected() {
    ArmSettings eager = arm_;
    eager.generator.execution = Execution::kEager;
    return generate(eager, [&](Decoder& model) { sync_weights(*trained_, model); }).second;
  }

  ArmSettings arm_;
  TensorParallel parallel_;
  std::unique_ptr<Decoder> trained_;
};

TEST_P(WeightReloadModelTest, WeightSyncIsSeen) {
  const auto [before, after] =
      generate(arm_, [&](Decoder& model) { sync_weights(*trained_, model); });
  EXPECT_NE(before, after);
  EXPECT_EQ(after, expected());
}

// The engine asks: its traced graphs own the old tensors, so none is freed, and none moves.
TEST_P(WeightReloadModelTest, NewTensorsAreRefused) {
  const auto rebind = [&](Decoder& model) {
    for (size_t i = 0; i < model.parameters().size(); ++i) {
      model.parameters()[i].tensor = trained_->parameters()[i].tensor.clone();
    }
  };
  try {
    generate(arm_, rebind);
    FAIL() << "no error";
  } catch (const RunError& error) {
    EXPECT_THAT(error.what(),
                HasSubstr("captured graphs hold model.embed_tokens.weight by address, and it was "
                          "replaced since: update weights in place"));
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, WeightReloadModelTest,
                         testing::Values(Execution::kCaptured, Execution::kPiecewise,
                                         Execution::kFullGraph),
                         [](const auto& info) { return to_string(info.param); });

}  // namespace
}  // namespace samebits
