// Level op: what replays tell of themselves is what eager code shows, to the digest and in order.

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "harness/kernels/device.h"
#include "harness/model/qwen3.h"
#include "harness/observe/step_observer.h"
#include "harness/run/in_process_arm.h"
#include "harness/workload/engine.h"
#include "harness/workload/observed_values.h"
#include "harness/workload/trainer.h"
#include "tests/run/graphless_workload.h"
#include "tests/support/random_model.h"

namespace samebits {
namespace {

using testing::random_weights;
using testing::small_config;

constexpr int64_t kSites = 1 + 2 * 17 + 2 + 2;  // of a step of two layers, and its tokens

// Generates, and observes nothing but what the model marks.
class Rollout : public testing::GraphlessWorkload {
 public:
  Rollout(Engine& engine, const std::vector<Request>& requests)
      : engine_(engine), requests_(requests) {}
  std::string step(int64_t, Observer& observer) override {
    observer.begin_phase("rollout");
    engine_.generate(requests_, {/*seed=*/7, /*max_new_tokens=*/5, /*temperature=*/1.0, 0, 1.0},
                     &observer);
    return {};
  }

 private:
  Engine& engine_;
  const std::vector<Request>& requests_;
};

// Five sequences. With prompts of one token every step is a decode.
std::vector<Request> requests_of(size_t longest) {
  std::mt19937_64 random(5);
  std::vector<Request> requests(5);
  for (size_t i = 0; i < requests.size(); ++i) {
    requests[i].id = static_cast<int64_t>(i);
    requests[i].prompt.resize(1 + random() % longest);
    for (int64_t& id : requests[i].prompt) id = 1 + static_cast<int64_t>(random() % 60);
  }
  return requests;
}

struct Seen {
  std::vector<Observation> observations;
  int64_t replays = 0;
  int64_t nodes = 0;  // that the executor ran
};

Seen observe(int64_t tp, const Mode& mode, size_t longest, Level level = Level::kOp,
             DeviceKind device = DeviceKind::kCpu) {
  const TensorParallel parallel = tp == 1 ? TensorParallel() : TensorParallel(make_local_mesh(tp));
  Weights weights = random_weights(small_config(), 3);
  if (device == DeviceKind::kCuda) {
    for (auto& [name, weight] : weights) weight = weight.to(at::kCUDA);
  }
  const Qwen3 model(small_config(), Numerics(), parallel, weights);
  Engine engine(model, {/*max_batch_tokens=*/11, /*block_size=*/4, /*blocks=*/64, mode});
  const std::vector<Request> requests = requests_of(longest);
  Rollout rollout(engine, requests);
  MemorySink sink;
  StepObserver observer(sink, level, device);
  run_step(rollout, 0, observer);
  Seen run{std::move(sink.observations)};
  run.replays = engine.runner().witness().replays;
  run.nodes = engine.runner().witness().nodes;
  return run;
}

Mode mode(Execution execution, std::vector<GraphPass> passes = {}) {
  return {execution, GuardPolicy::kKeep, std::move(passes), {}, /*buckets=*/{3, 4, 11}};
}

// The site of the first observation that differs; "": none.
std::string first_difference(const Seen& a, const Seen& b) {
  const auto [x, y] = std::mismatch(a.observations.begin(), a.observations.end(),
                                    b.observations.begin(), b.observations.end());
  if (x != a.observations.end()) return x->site;
  return y == b.observations.end() ? "" : y->site;
}

// In buckets that are rarely full.
TEST(ReplayObservationTest, EveryModeAndTpDegreeShowsEagersOperators) {
  const Seen eager = observe(1, mode(Execution::kEager), 9);
  ASSERT_GT(eager.observations.size(), 0U);
  EXPECT_EQ(eager.observations.size() % kSites, 0U);
  for (const int64_t tp : {1, 2}) {
    for (const Execution execution :
         {Execution::kEager, Execution::kCaptured, Execution::kPiecewise, Execution::kFullGraph,
          Execution::kFullGraphAlways, Execution::kFullAndPiecewise}) {
      for (const std::vector<GraphPass>& passes :
           {std::vector<GraphPass>{}, {GraphPass::kDeadCode, GraphPass::kFuse}}) {
        const Seen run = observe(tp, mode(execution, passes), 9);
        EXPECT_EQ(first_difference(run, eager), "") << "TP " << tp << ", " << to_string(execution);
        EXPECT_EQ(run.replays > 0, Mode{execution}.is_replayed());
      }
    }
  }
}

TEST(ReplayObservationTest, APersistentStepShowsEagersOperators) {
  const Seen run = observe(1, mode(Execution::kPersistent), 9);
  EXPECT_EQ(first_difference(run, observe(1, mode(Execution::kEager), 9)), "");
  EXPECT_GT(run.replays, 0);
}

TEST(ReplayObservationTest, AFaultWithinReplaysIsNamedAtItsOperator) {
  const Seen eager = observe(1, mode(Execution::kEager), 1);
  for (const Execution execution : {Execution::kPiecewise, Execution::kFullGraph}) {
    for (const int64_t tp : {1, 2}) {
      const Seen clean = observe(tp, mode(execution), 1);
      EXPECT_EQ(first_difference(clean, eager), "");
      const Seen faulty = observe(tp, mode(execution, {GraphPass::kDropRoundings}), 1);
      EXPECT_EQ(faulty.nodes, 0);  // nothing but replays, and what runs between their pieces
      EXPECT_EQ(first_difference(faulty, eager), "layers.0.attention_norm#0");
    }
  }
}

// Trains, and observes what the model marks, and every gradient, norm and state.
class Training : public testing::GraphlessWorkload {
 public:
  Training(Decoder& model, const Mode& mode)
      : model_(model),
        optimizer_(model, {}, mode, /*groups=*/4),
        trainer_(model, optimizer_, {.loss = {}, .sequences = 7, .max_tokens = 60}, mode) {}
  std::string step(int64_t step, Observer& observer) override {
    observer.begin_phase("train");
    trainer_.accumulate(samples_of(step), &observer);
    observer.begin_phase("optimizer");
    observe_optimizer(observer, model_, optimizer_);
    return {};
  }
  Witness witness() const { return trainer_.program().witness(); }

 private:
  static std::vector<Sample> samples_of(int64_t step) {
    std::mt19937_64 random(static_cast<uint64_t>(step));
    std::vector<Sample> samples(7);
    for (Sample& sample : samples) {
      sample.prompt_length = 1 + static_cast<int64_t>(random() % 5);
      const size_t generated = 1 + random() % 9;
      sample.tokens.resize(static_cast<size_t>(sample.prompt_length) + generated);
      for (int64_t& id : sample.tokens) id = static_cast<int64_t>(random() % 61);
      sample.logprobs.resize(generated, -4.0f);
      sample.advantage = static_cast<float>(random() % 5) - 2.0f;
    }
    return samples;
  }

  Decoder& model_;
  Optimizer optimizer_;
  Trainer trainer_;
};

Seen observe_training(int64_t tp, const Mode& mode, DeviceKind device = DeviceKind::kCpu) {
  const TensorParallel parallel = tp == 1 ? TensorParallel() : TensorParallel(make_local_mesh(tp));
  Weights weights = random_weights(small_config(), 3);
  if (device == DeviceKind::kCuda) {
    for (auto& [name, weight] : weights) weight = weight.to(at::kCUDA);
  }
  Qwen3 model(small_config(), Numerics(), parallel, weights);
  Training training(model, mode);
  MemorySink sink;
  StepObserver observer(sink, Level::kOp, device);
  for (int64_t step = 0; step < 2; ++step) run_step(training, step, observer);
  Seen run{std::move(sink.observations)};
  run.replays = training.witness().replays;
  run.nodes = training.witness().nodes;
  return run;
}

// Forward, loss and gradients, cut to what is no padding.
TEST(ReplayObservationTest, ATrainersReplaysShowEagersOperators) {
  const Seen eager = observe_training(1, {});
  ASSERT_GT(eager.observations.size(), 200U);
  for (const int64_t tp : {1, 2}) {
    EXPECT_EQ(first_difference(observe_training(tp, {Execution::kCaptured}), eager), "") << tp;
    const Seen run = observe_training(tp, {Execution::kFullGraphAlways});
    EXPECT_EQ(first_difference(run, eager), "") << tp;
    EXPECT_GT(run.replays, 0);
    EXPECT_EQ(run.nodes, 0);
    const Seen faulty = observe_training(
        tp, {Execution::kFullGraphAlways, GuardPolicy::kKeep, {GraphPass::kDropRoundings}});
    EXPECT_EQ(first_difference(faulty, eager), "layers.0.attention_norm#0") << "the control";
  }
}

TEST(ReplayObservationTest, ATrainersReplaysOnACardShowWhatTheCpuDoes) {
  if (const std::string reason = why_no_cuda(); !reason.empty()) GTEST_SKIP() << reason;
  const Seen eager = observe_training(1, {});
  for (const int64_t tp : {1, 2}) {
    const Seen run = observe_training(tp, {Execution::kFullGraphAlways}, DeviceKind::kCuda);
    EXPECT_EQ(first_difference(run, eager), "") << tp;
    EXPECT_GT(run.replays, 0);
  }
}

TEST(ReplayObservationTest, AtLevelStepReplaysTellNothing) {
  const Seen run = observe(1, mode(Execution::kFullGraph), 9, Level::kStep);
  EXPECT_GT(run.replays, 0);
  EXPECT_TRUE(run.observations.empty());
}

TEST(ReplayObservationTest, ACardShowsWhatTheCpuDoes) {
  if (const std::string reason = why_no_cuda(); !reason.empty()) GTEST_SKIP() << reason;
  const Seen eager = observe(1, mode(Execution::kEager), 9);
  for (const int64_t tp : {1, 2}) {
    for (const Execution execution :
         {Execution::kEager, Execution::kPiecewise, Execution::kFullGraph,
          Execution::kFullGraphAlways, Execution::kFullAndPiecewise}) {
      const Seen run = observe(tp, mode(execution), 9, Level::kOp, DeviceKind::kCuda);
      EXPECT_EQ(first_difference(run, eager), "") << "TP " << tp << ", " << to_string(execution);
    }
  }
  const Seen faulty = observe(1, mode(Execution::kFullGraph, {GraphPass::kDropRoundings}), 1,
                              Level::kOp, DeviceKind::kCuda);
  EXPECT_EQ(first_difference(faulty, observe(1, mode(Execution::kEager), 1)),
            "layers.0.attention_norm#0");
}

}  // namespace
}  // namespace samebits
