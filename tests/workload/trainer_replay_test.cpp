// The trainer as replays: forward, loss, backward and accumulation of a micro-batch as one graph of
// padded sizes, and the optimizer's step as another. Eager code on the CPU is the oracle of both.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

#include "harness/base/error.h"
#include "harness/kernels/device.h"
#include "harness/workload/trainer.h"
#include "tests/support/random_model.h"

namespace samebits {
namespace {

using testing::random_weights;
using testing::same_bits;
using testing::small_config;

const Mode kReplayed{Execution::kFullGraphAlways};

// How a step is cut and what it is of.
struct Cut {
  int64_t tp = 1;
  int64_t sequences = 5;
  int64_t groups = 4;
  int64_t max_tokens = 40;
  at::ScalarType dtype = at::kBFloat16;
  bool master = true;
  bool is_tied = true;
  KlReference kl = KlReference::kGenerator;

  std::string text() const {
    return fmt::format("TP {}, {} sequences, {} groups, {} tokens, {}{}{}{}", tp, sequences, groups,
                       max_tokens, c10::toString(dtype), master ? ", master" : "",
                       is_tied ? ", tied" : "", kl == KlReference::kInitial ? ", initial" : "");
  }
};

std::vector<Sample> random_samples(uint64_t seed, int64_t count) {
  std::mt19937_64 random(seed);
  std::vector<Sample> samples;
  for (int64_t i = 0; i < count; ++i) {
    Sample sample;
    sample.prompt_length = 1 + static_cast<int64_t>(random() % 6);
    const size_t generated = i > 0 && random() % 8 == 0 ? 0 : 1 + random() % 12;
    for (size_t t = 0; t < sample.prompt_length + generated; ++t) {
      sample.tokens.push_back(static_cast<int64_t>(random() % 61));
    }
    for (size_t t = 0; t < generated; ++t) {
      sample.logprobs.push_back(-4.0f - 0.01f * static_cast<float>(random() % 100));
      sample.initial_logprobs.push_back(-4.0f - 0.01f * static_cast<float>(random() % 100));
    }
    sample.advantage = static_cast<float>(random() % 200) / 100.0f - 1.0f;
    samples.push_back(std::move(sample));
  }
  return samples;
}

struct Trained {
  std::vector<TrainResult> results;
  std::vector<at::Tensor> tensors;  // gradients, norms and weights of every step
  Witness trainer, optimizer;
};

// Three optimizer steps, of other sizes each.
Trained train(const Cut& cut, const Mode& mode, DeviceKind device = DeviceKind::kCpu) {
  Numerics numerics;
  numerics.dtype = cut.dtype;
  DecoderConfig config = small_config();
  config.tie_word_embeddings = cut.is_tied;
  Weights weights = random_weights(config, 11);
  if (device == DeviceKind::kCuda) {
    for (auto& [name, weight] : weights) weight = weight.to(at::kCUDA);
  }
  Qwen3 model(config, numerics,
              cut.tp == 1 ? TensorParallel() : TensorParallel(make_local_mesh(cut.tp)), weights);
  OptimizerSettings settings;
  settings.master = cut.master;
  settings.lr = 1e-2;
  Mode of_optimizer = mode;
  of_optimizer.buckets.clear();
  Optimizer optimizer(model, settings, of_optimizer, cut.groups);
  LossSettings loss;
  loss.kl_reference = cut.kl;
  Trainer trainer(model, optimizer,
                  {.loss = loss, .sequences = cut.sequences, .max_tokens = cut.max_tokens}, mode);
  Trained trained;
  const auto keep = [&](const at::Tensor& tensor) {
    trained.tensors.push_back(model.parallel().to_plain(tensor.detach()).cpu().clone());
  };
  for (uint64_t step = 0; step < 3; ++step) {
    trained.results.push_back(trainer.accumulate(random_samples(100 + step, cut.sequences)));
    for (const at::Tensor& gradient : optimizer.gradient().whole()) keep(gradient);
    keep(optimizer.step());
    keep(optimizer.clip_scale());
    for (const Parameter& parameter : model.parameters()) keep(parameter.tensor);
  }
  trained.trainer = trainer.program().witness();
  trained.optimizer = optimizer.program().witness();
  return trained;
}

bool same(const Trained& a, const Trained& b) {
  bool equal = a.results.size() == b.results.size() && a.tensors.size() == b.tensors.size();
  for (size_t i = 0; equal && i < a.results.size(); ++i) {
    const TrainResult& x = a.results[i];
    const TrainResult& y = b.results[i];
    equal = x.loss == y.loss && x.pg == y.pg && x.entropy == y.entropy && x.kl == y.kl &&
            x.clipped == y.clipped && x.logprobs == y.logprobs;
  }
  for (size_t i = 0; equal && i < a.tensors.size(); ++i) {
    equal = same_bits(a.tensors[i], b.tensors[i]);
  }
  return equal;
}

void expect_replays_alone(const Trained& replayed, const Trained& eager, const std::string& what) {
  EXPECT_EQ(replayed.trainer.replays, eager.trainer.eager_calls) << what;
  EXPECT_EQ(replayed.optimizer.replays, 3) << what;
  EXPECT_EQ(replayed.optimizer.captures, 1) << what;
  for (const Witness& each : {replayed.trainer, replayed.optimizer}) {
    EXPECT_EQ(each.eager_calls + each.runs + each.nodes, 0) << what;
    EXPECT_EQ(each.replay_dispatcher_calls + each.replay_allocations, 0) << what;
    EXPECT_GT(each.launches, each.replays) << what;
  }
}

class TrainerReplayTest : public ::testing::TestWithParam<DeviceKind> {
 protected:
  void SetUp() override {
    if (GetParam() != DeviceKind::kCuda) return;
    if (const std::string reason = why_no_cuda(); !reason.empty()) GTEST_SKIP() << reason;
  }
  Trained replay(const Cut& cut, const Mode& mode = kReplayed) const {
    return train(cut, mode, GetParam());
  }
};

INSTANTIATE_TEST_SUITE_P(Devices, TrainerReplayTest,
                         ::testing::Values(DeviceKind::kCpu, DeviceKind::kCuda),
                         [](const auto& info) { return to_string(info.param); });

TEST_P(TrainerReplayTest, AMicroBatchAndAStepAreReplaysWithTheBitsOfEager) {
  const Trained eager = train({}, {});
  const Trained replayed = replay({});
  EXPECT_TRUE(same(replayed, eager));
  expect_replays_alone(replayed, eager, Cut().text());
}

TEST_P(TrainerReplayTest, SoIsEveryPacking) {
  std::mt19937_64 random(7);
  for (int trial = 0; trial < 12; ++trial) {
    Cut cut;
    cut.tp = int64_t{1} << random() % 2;
    cut.groups = int64_t{1} << random() % 4;
    cut.sequences = 1 + static_cast<int64_t>(random() % 10);
    cut.max_tokens = 18 + static_cast<int64_t>(random() % 120);
    cut.dtype = random() % 3 == 0 ? at::kFloat : at::kBFloat16;
    cut.master = random() % 2 == 0;
    cut.is_tied = random() % 2 == 0;
    cut.kl = random() % 2 == 0 ? KlReference::kGenerator : KlReference::kInitial;
    const Trained eager = train(cut, {});
    const Trained replayed = replay(cut);
    EXPECT_TRUE(same(replayed, eager)) << cut.text();
    expect_replays_alone(replayed, eager, cut.text());
  }
}

// One bucket for all sizes, so that most of a micro-batch is padding.
TEST_P(TrainerReplayTest, HoweverMuchIsPadded) {
  const Trained eager = train({}, {});
  Mode mode = kReplayed;
  for (const int64_t bucket : {48, 127}) {
    mode.buckets = {bucket};
    const Trained replayed = replay({}, mode);
    EXPECT_TRUE(same(replayed, eager)) << bucket;
    expect_replays_alone(replayed, eager, fmt::format("bucket {}", bucket));
  }
}

TEST_P(TrainerReplayTest, AMicroBatchThatNoBucketHoldsRunsNodeByNode) {
  Mode mode = kReplayed;
  mode.buckets = {8, 24};
  const Trained replayed = replay({}, mode);
  EXPECT_TRUE(same(replayed, train({}, {})));
  EXPECT_GT(replayed.trainer.runs, 0);
  EXPECT_EQ(replayed.trainer.eager_calls, 0);
}

// The controls: what must not pass for equal.
TEST_P(TrainerReplayTest, AGraphThatLostItsRoundingsAndAnotherCutOfTheGradientAreSeen) {
  const Trained eager = train({}, {});
  Mode lossy = kReplayed;
  lossy.passes = {GraphPass::kDropRoundings};
  EXPECT_FALSE(same(replay({}, lossy), eager));
  EXPECT_FALSE(same(replay({.groups = 2}), eager));
}

TEST_P(TrainerReplayTest, PassesThatKeepBitsKeepThemInReplays) {
  Mode fused = kReplayed;
  fused.passes = {GraphPass::kFuse, GraphPass::kDeadCode};
  EXPECT_TRUE(same(replay({}, fused), train({}, {})));
}

// Graphs write the sums and the state where they lie.
TEST_P(TrainerReplayTest, AReplacedWeightIsRefused) {
  Weights weights = random_weights(small_config(), 11);
  if (GetParam() == DeviceKind::kCuda) {
    for (auto& [name, weight] : weights) weight = weight.to(at::kCUDA);
  }
  Qwen3 model(small_config(), Numerics(), TensorParallel(), weights);
  Optimizer optimizer(model, {}, kReplayed);
  Trainer trainer(model, optimizer, {.loss = {}, .sequences = 2, .max_tokens = 40}, kReplayed);
  trainer.accumulate(random_samples(1, 2));
  optimizer.step();
  at::Tensor& weight = model.parameters()[3].tensor;
  weight = weight.detach().clone().requires_grad_(true);
  EXPECT_THROW(trainer.accumulate(random_samples(1, 2)), RunError);
  EXPECT_THROW(optimizer.step(), RunError);
}

}  // namespace
}  // namespace samebits
