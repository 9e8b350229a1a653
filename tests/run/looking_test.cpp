// What observing costs is told apart from what it looks at.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "harness/base/stopwatch.h"
#include "harness/run/in_process_arm.h"
#include "tests/run/graphless_workload.h"

namespace samebits {
namespace {

using testing::GraphlessWorkload;

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

}  // namespace
}  // namespace samebits
