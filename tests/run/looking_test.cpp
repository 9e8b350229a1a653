// What observing costs is told apart from what it looks at, and changes nothing of it.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <thread>

#include "harness/base/stopwatch.h"
#include "harness/dtensor/dtensor.h"
#include "harness/observe/tensor_observation.h"
#include "harness/run/in_process_arm.h"
#include "tests/run/graphless_workload.h"
#include "tests/run/support.h"
#include "tests/support/same_bits.h"

namespace samebits {
namespace {

using testing::GraphlessWorkload;
using testing::same_bits;

constexpr int64_t kMebibyte = int64_t{1} << 20;

void sleep_for_milliseconds(int64_t count) {
  std::this_thread::sleep_for(std::chrono::milliseconds(count));
}

class SlowSink : public MemorySink {
 public:
  void record(const Observation& observation) override {
    sleep_for_milliseconds(20);
    MemorySink::record(observation);
  }
};

// Computes for 30 ms with 8 MiB, looks at a tensor whose digest needs a copy of 32 MiB, and has
// 10 ms of work that serves that alone.
class Looked : public GraphlessWorkload {
 public:
  std::string step(int64_t, Observer& observer) override {
    observer.begin_phase("train");
    const at::Tensor kept = at::zeros({8 * kMebibyte}, at::kByte);
    sleep_for_milliseconds(30);
    const Observing observing(observer);
    sleep_for_milliseconds(10);
    observer.observe("wide", strided_);
    return {};
  }

 private:
  at::Tensor strided_ = at::zeros({16 * kMebibyte, 4}, at::kByte).slice(1, 0, 4, 2);
};

TEST(PriceOfLooking, IsInNoPhase) {
  SlowSink sink;
  Looked workload;
  StepObserver observer(sink, Level::kStep);
  const Stopwatch clock;
  const StepRecord record = run_step(workload, 0, observer);
  const double all = clock.seconds();
  ASSERT_TRUE(record.observation.has_value());
  const ObservationCost& looking = *record.observation;
  EXPECT_EQ(looking.level, Level::kStep);
  EXPECT_EQ(looking.observations, 1);
  EXPECT_GE(looking.seconds, 0.030);  // the work of the workload, and the sink's
  EXPECT_GE(record.phases[0].seconds, 0.030);
  EXPECT_LE(record.phases[0].seconds, all - looking.seconds);
  EXPECT_EQ(record.phases[0].peak_bytes, 8 * kMebibyte);
  EXPECT_GE(looking.peak_bytes, 32 * kMebibyte);
  EXPECT_LT(looking.peak_bytes, 33 * kMebibyte);
}

TEST(PriceOfLooking, IsNothingWhereNobodyLooks) {
  SlowSink sink;
  Looked workload;
  StepObserver observer(sink, Level::kNone);
  const StepRecord record = run_step(workload, 0, observer);
  EXPECT_EQ(record.observation->observations, 0);
  EXPECT_EQ(record.observation->peak_bytes, 0);
  EXPECT_TRUE(sink.observations.empty());
}

// Looks at a thousand scalars.
class Chatty : public GraphlessWorkload {
 public:
  std::string step(int64_t, Observer& observer) override {
    observer.begin_phase("train");
    for (int64_t i = 0; i < 1000; ++i) {
      observer.observe(fmt::format("value[{}]", i), at::scalar_tensor(i, at::kLong));
    }
    return {};
  }
};

TEST(MemoryOfLooking, StaysWithinItsBudget) {
  const auto run = [](int64_t budget) {
    MemorySink sink;
    Chatty workload;
    StepObserver observer(sink, Level::kStep);
    if (budget > 0) observer.limit_memory(budget);
    StepRecord record = run_step(workload, 0, observer);
    return std::pair(std::move(sink.observations), record.observation->peak_bytes);
  };
  const auto [whole, unlimited] = run(0);
  const auto [spilled, limited] = run(4096);
  EXPECT_EQ(whole.size(), 1000U);
  EXPECT_EQ(spilled, whole);
  EXPECT_GT(unlimited, 100'000);
  EXPECT_LT(limited, 4096 + 1024);
}

// What a loop says of itself, kept as it is.
class Listener : public Observer {
 public:
  void begin_phase(const std::string& name) override { phase_ = name; }
  void observe(const std::string& site, const at::Tensor& value) override {
    if (phase_ != "rollout" && phase_ != "train") return;
    told.emplace_back(phase_ + " " + site, value.clone());
  }
  std::vector<std::pair<std::string, at::Tensor>> told;

 private:
  std::string phase_;
};

// An observer that changes what it looks at: one bit of one gradient.
class Meddler : public Listener {
 public:
  void observe(const std::string& site, const at::Tensor& value) override {
    Listener::observe(site, value);
    if (site != "gradient[norm.weight]") return;
    const at::Tensor local = is_dtensor(value) ? locals_of(value)[0] : value;
    static_cast<int32_t*>(local.mutable_data_ptr())[5] ^= 1;
  }
};

constexpr int64_t kSteps = 2;

CaseArm arm_of(const std::string& settings) {
  return parse_case(fmt::format(R"({{"name": "c", "model": "{}", "arms": {{"a": {}}}, "steps": {},
      "workload": {{"group": 2, "max_new_tokens": 5, "optimizer": {{"lr": 0.01}},
                   "prompts": [{{"prompt": "The capital", "answer": "paris"}},
                               {{"prompt": "Water", "answer": "wet"}}]}}}})",
                                testing::kTiny.string(), settings, kSteps),
                    "c.json")
      .arms[0];
}

State state_with(const CaseArm& arm, Observer& observer) {
  const auto workload = make_workload(arm);
  for (int64_t step = 0; step < kSteps; ++step) workload->step(step, observer);
  return workload->state();
}

std::string difference_of(const State& a, const State& b) {
  for (const auto& [name, value] : a) {
    if (!b.contains(name) || !same_bits(value, b.at(name))) return name;
  }
  return a.size() == b.size() ? "" : "sizes";
}

// Of what both have seen: completions, rewards, logprobs, losses.
std::string difference_of(const Listener& listener, const std::vector<Observation>& observations) {
  std::vector<Observation> found;
  for (const Observation& each : observations) {
    const bool is_marked = each.site.find('#') != std::string::npos;
    if (!is_marked && (each.phase == "rollout" || each.phase == "train")) found.push_back(each);
  }
  if (found.size() != listener.told.size()) return "sizes";
  for (size_t i = 0; i < found.size(); ++i) {
    const auto& [site, value] = listener.told[i];
    if (found[i].phase + " " + found[i].site != site) return site + " is missing";
    const Observation same = observe_tensor(found[i].step, found[i].phase, 0, found[i].site,
                                            dtype_from_scalar_type(value.scalar_type()),
                                            value.sizes().vec(), value.const_data_ptr());
    if (same != found[i]) return site;
  }
  return "";
}

class Unobserved : public ::testing::TestWithParam<const char*> {};

// A step's weights, moments and counters are those of a run at which nobody looked, and so are its
// tokens, rewards and losses.
TEST_P(Unobserved, EqualsTheObserved) {
  const CaseArm arm = arm_of(GetParam());
  Listener listener;
  const State unobserved = state_with(arm, listener);
  ASSERT_GT(listener.told.size(), 50U);
  for (const Level level : {Level::kNone, Level::kStep, Level::kOp}) {
    MemorySink sink;
    Activity activity;
    InProcessArm running(arm, level, sink, activity, Checkpoints());
    running.prepare();
    for (int64_t step = 0; step < kSteps; ++step) running.step();
    EXPECT_EQ(difference_of(unobserved, running.state()), "") << to_string(level);
    if (level == Level::kNone) {
      EXPECT_TRUE(sink.observations.empty());
    } else {
      EXPECT_EQ(difference_of(listener, sink.observations), "") << to_string(level);
    }
  }
  Meddler meddler;
  EXPECT_NE(difference_of(unobserved, state_with(arm, meddler)), "");
}

INSTANTIATE_TEST_SUITE_P(
    Modes, Unobserved,
    ::testing::Values(R"({})", R"({"mesh": {"tp": 2}})",
                      R"({"generator": "captured", "trainer": "captured"})",
                      R"({"generator": "captured", "trainer": "captured", "mesh": {"tp": 2}})",
                      R"({"generator": "piecewise"})", R"({"generator": "full_graph"})",
                      R"({"generator": "full_graph", "mesh": {"tp": 2}})",
                      R"({"generator": "full_and_piecewise", "passes": ["fuse"]})",
                      R"({"generator": "persistent"})"));

}  // namespace
}  // namespace samebits
