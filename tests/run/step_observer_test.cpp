#include "harness/observe/step_observer.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <new>

#include "harness/base/error.h"
#include "harness/capture/captured_program.h"
#include "harness/compare/evidence.h"
#include "harness/dispatch/device_error.h"
#include "harness/dtensor/dtensor.h"
#include "harness/kernels/device.h"
#include "harness/kernels/functional.h"
#include "harness/run/in_process_arm.h"
#include "tests/base/message_of.h"
#include "tests/run/graphless_workload.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;

class Memory : public ObservationSink {
 public:
  void record(const Observation& observation) override { observations.push_back(observation); }
  void flush() override {}
  std::vector<Observation> observations;
};

// Observes a loss, then fails.
class Failing : public testing::GraphlessWorkload {
 public:
  explicit Failing(std::function<void()> fail) : fail_(std::move(fail)) {}
  std::string step(int64_t, Observer& observer) override {
    observer.begin_phase("train");
    observer.observe("loss", at::scalar_tensor(1.0f));
    fail_();
    return {};
  }

 private:
  std::function<void()> fail_;
};

std::string failure_of(const std::function<void()>& fail) {
  Memory sink;
  Failing workload(fail);
  StepObserver observer(sink, Level::kStep);
  const std::string message = message_of<RunError>([&] { run_step(workload, 3, observer); });
  EXPECT_EQ(sink.observations.size(), 1U);  // what was seen before is kept
  return message;
}

const c10::OperatorHandle& an_operator() {
  static const c10::OperatorHandle op =
      c10::Dispatcher::singleton().findSchemaOrThrow("aten::relu", "");
  return op;
}

TEST(StepObserverTest, ACardsFailureNamesOperatorRankAndStepInOneLine) {
  EXPECT_EQ(failure_of([] {
              naming_operator(an_operator(), []() -> void {
                throw c10::AcceleratorError({"f", "file", 1}, 700,
                                            "CUDA error: an illegal memory access was "
                                            "encountered\nSearch for it elsewhere.");
              });
            }),
            "step 3, rank 0, train: aten::relu: CUDA error: an illegal memory access was "
            "encountered");
}

TEST(StepObserverTest, MemoryThatACardDoesNotHaveNamesTheInnermostOperator) {
  const auto& outer = c10::Dispatcher::singleton().findSchemaOrThrow("aten::linear", "");
  EXPECT_EQ(failure_of([&] {
              naming_operator(outer, [] {
                naming_operator(an_operator(), []() -> void {
                  throw c10::OutOfMemoryError({"f", "file", 1}, "CUDA out of memory.");
                });
              });
            }),
            "step 3, rank 0, train: aten::relu: CUDA out of memory.");
}

// Two TiB, and what ran before and runs after is as it was.
TEST(StepObserverTest, ACardWithoutMemoryGoesOnServing) {
  if (const std::string reason = why_no_cuda(); !reason.empty()) GTEST_SKIP() << reason;
  const at::Tensor x =
      at::ones({1 << 20, 8}, at::TensorOptions().dtype(at::kBFloat16).device(at::kCUDA));
  const auto product = [&](int64_t rows) {
    const at::Tensor some = x.narrow(0, 0, rows);
    return ops::linear(some, some, 0, 0, at::kBFloat16);
  };
  EXPECT_THAT(failure_of([&] { product(1 << 20); }),
              HasSubstr("step 3, rank 0, train: samebits::linear: CUDA out of memory."));
  EXPECT_TRUE(at::equal(product(4).cpu(), at::full({4, 4}, 8, at::kBFloat16)));
}

TEST(StepObserverTest, ALateFailureSaysHowToFindItsOperator) {
  EXPECT_EQ(failure_of([] {
              throw c10::AcceleratorError({"f", "file", 1}, 700, "CUDA error: misaligned address");
            }),
            "step 3, rank 0, train: CUDA error: misaligned address (CUDA_LAUNCH_BLOCKING=1 names "
            "the operator)");
}

TEST(StepObserverTest, OtherFailuresNameTheStep) {
  EXPECT_EQ(failure_of([] { TORCH_CHECK(false, "no such row"); }),
            "step 3, rank 0, train: no such row");
  EXPECT_EQ(failure_of([] { throw RunError("a replay broke"); }),
            "step 3, rank 0, train: a replay broke");
  EXPECT_EQ(failure_of([] { throw std::bad_alloc(); }), "step 3, rank 0, train: out of memory");
}

TEST(StepObserverTest, BadInputStaysBadInput) {
  Memory sink;
  Failing workload([] { throw InputError("case", "a", "b"); });
  StepObserver observer(sink, Level::kStep);
  EXPECT_THROW(run_step(workload, 0, observer), InputError);
}

// A captured program below autograd, as trainers are.
class Captured : public testing::GraphlessWorkload {
 public:
  std::string step(int64_t, Observer& observer) override {
    observer.begin_phase("train");
    program_({at::ones({2, 3})});
    return {};
  }

 private:
  CapturedProgram program_{[](const std::vector<at::Tensor>& in) -> std::vector<at::Tensor> {
                             const at::Tensor sum = ops::residual_add(in[0], in[0]);
                             ops::mark(sum, "sum#0");
                             return {sum};
                           },
                           {},
                           GuardPolicy::kKeep,
                           ModeLevel::kBelowAutograd};
};

// What every rank of a local mesh holds is compared between them.
TEST(StepObserverTest, ARankWhoseCopyDiffersIsNamed) {
  const auto mesh = make_local_mesh(4);
  const at::Tensor whole = at::linspace(-1, 1, 12).view({3, 4});
  const auto evidence_with = [&](const at::Tensor& value) {
    ArmRecording recording;
    recording.finished = true;
    Memory sink;
    StepObserver observer(sink, Level::kStep);
    observer.begin_step(0);
    observer.begin_phase("weights");
    observer.observe("norm.weight", value);
    observer.end_step();
    recording.ranks.push_back({std::move(sink.observations), 0, 0});
    return evidence_of(CaseArm(), recording).ranks;
  };
  const at::Tensor copies = distribute_tensor(whole, mesh, Placement::replicate());
  EXPECT_EQ(evidence_with(copies), "");
  EXPECT_EQ(evidence_with(distribute_tensor(whole, mesh, Placement::shard(1))), "");
  for (const int64_t rank : {1, 3}) {
    int32_t* bits = static_cast<int32_t*>(locals_of(copies)[rank].mutable_data_ptr());
    bits[7] ^= 1;
  }
  EXPECT_EQ(evidence_with(copies),
            "ranks 1 and 3 differ from rank 0 at step 0, weights, norm.weight");
}

// A replay digests every copy.
TEST(StepObserverTest, ARankWhoseCopyDiffersWithinAReplayIsNamed) {
  Memory sink;
  StepObserver observer(sink, Level::kOp);
  observer.begin_step(0);
  observer.begin_phase("rollout");
  ReplayDigests digests;
  const passes::Mark one{"embedding#0", {{sym::Expr(2)}, at::kFloat, ""}, 1};
  const passes::Mark three{"norm#0", {{sym::Expr(2)}, at::kFloat, ""}, 3};
  digests.marks = std::make_shared<const std::vector<passes::Mark>>(std::vector{three, one, three});
  const std::vector<int64_t> rows = {1, 2, 1, 2, 1, 3, 4, 4, 5, 5, 5, 5, 5, 5};
  digests.sums = at::tensor(rows).view({7, 2});
  observer.observe_replay(digests);
  observer.end_step();
  ASSERT_EQ(sink.observations.size(), 3U);
  const std::vector<int64_t> shape = {2};
  EXPECT_THAT(sink.observations[0].apart, ::testing::ElementsAre(2));
  EXPECT_THAT(sink.observations[1].apart, ::testing::IsEmpty());
  EXPECT_THAT(sink.observations[2].apart, ::testing::IsEmpty());
  EXPECT_EQ(sink.observations[1].digest, finish_digest({4, 4}, Dtype::float32, shape));
}

TEST(StepObserverTest, ATraceKeepsItsMarksForWhenItRuns) {
  Memory sink;
  Captured workload;
  StepObserver observer(sink, Level::kOp);
  for (const int64_t step : {0, 1}) run_step(workload, step, observer);
  ASSERT_EQ(sink.observations.size(), 2U);
  const at::Tensor twos = at::full({2, 3}, 2.0f);
  EXPECT_EQ(sink.observations[1],
            observe_tensor(1, "train", 0, "sum#0", Dtype::float32, {2, 3}, twos.const_data_ptr()));
}

// Holds 64 MiB in one phase and half of it in the next, beside a tensor of before.
class Holding : public testing::GraphlessWorkload {
 public:
  std::string step(int64_t, Observer& observer) override {
    const auto bytes = [](int64_t mib) { return at::empty({mib << 20}, at::kByte); };
    observer.begin_phase("rollout");
    bytes(64);
    observer.begin_phase("train");
    const at::Tensor kept = bytes(16);
    bytes(16);
    return "";
  }
};

TEST(StepObserverTest, APeakIsWhatTensorsOfThePhaseHeld) {
  const at::Tensor before = at::empty({int64_t{256} << 20}, at::kByte);
  Memory sink;
  Holding workload;
  StepObserver observer(sink, Level::kStep);
  for (const int64_t step : {0, 1}) {
    const StepRecord record = run_step(workload, step, observer);
    EXPECT_EQ(record.phases[0].peak_bytes, int64_t{64} << 20) << step;
    EXPECT_EQ(record.phases[1].peak_bytes, int64_t{32} << 20) << step;
  }
}

// Observes one tensor on a card, beside a larger one that is gone by then.
class OnACard : public testing::GraphlessWorkload {
 public:
  explicit OnACard(at::Tensor value) : value_(std::move(value)) {}
  std::string step(int64_t, Observer& observer) override {
    observer.begin_phase("train");
    at::empty({int64_t{64} << 20}, at::TensorOptions().dtype(at::kByte).device(at::kCUDA));
    observer.observe("x", value_.to(at::kCUDA));
    return {};
  }

 private:
  at::Tensor value_;
};

TEST(StepObserverTest, ACardDigestsAsTheCpuDoesAndItsPeakIsThatOfItsTensors) {
  if (const std::string reason = why_no_cuda(); !reason.empty()) GTEST_SKIP() << reason;
  const at::Tensor value = at::arange(1000).to(at::kBFloat16).view({10, 100});
  Memory sink;
  OnACard workload(value);
  StepObserver observer(sink, Level::kStep, DeviceKind::kCuda);
  const StepRecord record = run_step(workload, 0, observer);
  ASSERT_EQ(sink.observations.size(), 1U);
  EXPECT_EQ(sink.observations[0],
            observe_tensor(0, "train", 0, "x", Dtype::bfloat16, {10, 100}, value.const_data_ptr()));
  EXPECT_GE(record.phases[0].peak_bytes, int64_t{64} << 20);
}

}  // namespace
}  // namespace samebits
