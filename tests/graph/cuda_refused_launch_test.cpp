// A kernel that was not launched is an error there and then, under its operator's name: eager and
// while a graph is captured.

#include "tests/graph/cuda_refused_launch.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/library.h>

#include "harness/dispatch/device_error.h"
#include "harness/graph/cuda_pool.h"
#include "harness/graph/static_graph.h"
#include "harness/kernels/cuda/runtime/boxed.h"
#include "harness/kernels/device.h"
#include "harness/kernels/shape_rule.h"
#include "tests/support/replay_pools.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using Tensors = std::vector<at::Tensor>;

constexpr int64_t kTooMuch = 1 << 20;
constexpr int64_t kTooMuchUnasked = 64 << 10;  // more than the 48 KiB that need no asking

// filled(x, shared_bytes, overlaps, allows) -> [], float32: 7
void filled(cuda::Call& call, const at::Tensor&, int64_t shared_bytes, bool overlaps, bool allows) {
  const testing::FillLaunch how{static_cast<size_t>(shared_bytes), overlaps, allows};
  testing::fill(cuda::written<float>(call.result()), 7.0f, how, call.stream());
}

std::vector<TensorMeta> filled_shape(c10::ArrayRef<c10::IValue>) { return {{{}, c10::kFloat}}; }
SAMEBITS_SHAPE_RULE("samebits::filled", filled_shape);

TORCH_LIBRARY_FRAGMENT(samebits, m) {
  m.def("filled(Tensor x, int shared_bytes, bool overlaps, bool allows) -> Tensor");
}
TORCH_LIBRARY_IMPL(samebits, CUDA, m) { m.impl("filled", cuda::kernel<filled>()); }

at::Tensor call_filled(const at::Tensor& x, int64_t shared_bytes, bool overlaps, bool allows) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("samebits::filled", "")
                             .typed<at::Tensor(const at::Tensor&, int64_t, bool, bool)>();
  return op.call(x, shared_bytes, overlaps, allows);
}

class RefusedLaunchTest : public ::testing::TestWithParam<bool /* overlaps */> {
 protected:
  void SetUp() override {
    if (const std::string reason = why_no_cuda(); !reason.empty()) GTEST_SKIP() << reason;
    x_ = at::zeros({1}).to(at::kCUDA);
  }

  // The line that a user reads, or "" where nothing is refused.
  std::string refusal(const std::function<void()>& body) {
    try {
      body();
    } catch (const c10::AcceleratorError& error) {
      return error_line(error);
    }
    return "";
  }
  StaticGraph graph_of(int64_t shared_bytes, bool allows) {
    const auto program = [=](const Tensors& in) {
      return Tensors{call_filled(in[0], shared_bytes, GetParam(), allows)};
    };
    return StaticGraph("g", make_cuda_pool(), program, {x_});
  }
  void expect_eager_and_captured_work() {
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
    EXPECT_EQ(call_filled(x_, /*shared_bytes=*/1024, GetParam(), /*allows=*/false).item<float>(),
              7);
    StaticGraph graph = graph_of(1024, /*allows=*/false);
    EXPECT_EQ(testing::replay_with(graph, {x_})[0].item<float>(), 7);
  }

  at::Tensor x_;
};

TEST_P(RefusedLaunchTest, EagerIsToldAtOnceWithItsOperator) {
  const std::string line =
      refusal([&] { call_filled(x_, kTooMuchUnasked, GetParam(), /*allows=*/false); });
  EXPECT_THAT(line,
              StartsWith("samebits::filled: CUDA: a kernel was not launched (1 x 1 x 1 blocks "
                         "of 1 threads, 65536 bytes of shared memory): "));
  expect_eager_and_captured_work();
}

TEST_P(RefusedLaunchTest, SharedMemoryThatNoCardHasIsRefusedBeforeTheLaunch) {
  const std::string line = refusal([&] { call_filled(x_, kTooMuch, GetParam(), /*allows=*/true); });
  EXPECT_THAT(line, StartsWith("samebits::filled: CUDA: allowing a kernel 1048576 bytes of shared "
                               "memory: "));
  // It was not noted as allowed.
  EXPECT_EQ(refusal([&] { call_filled(x_, kTooMuch, GetParam(), /*allows=*/true); }), line);
  expect_eager_and_captured_work();
}

TEST_P(RefusedLaunchTest, ACaptureIsToldAtOnceWithItsOperator) {
  EXPECT_THAT(refusal([&] { graph_of(kTooMuchUnasked, /*allows=*/false); }),
              HasSubstr("samebits::filled: CUDA: a kernel was not launched"));
  EXPECT_THAT(refusal([&] { graph_of(kTooMuch, /*allows=*/true); }),
              HasSubstr("samebits::filled: CUDA: allowing a kernel"));
  expect_eager_and_captured_work();
}

TEST_P(RefusedLaunchTest, AnErrorThatNobodyCheckedEndsTheCapture) {
  const auto program = [&](const Tensors& in) {
    (void)cudaFuncSetAttribute(nullptr, cudaFuncAttributeMaxDynamicSharedMemorySize, 1);
    return Tensors{call_filled(in[0], 1024, GetParam(), /*allows=*/false)};
  };
  EXPECT_THAT(refusal([&] { StaticGraph("g", make_cuda_pool(), program, {x_}); }),
              HasSubstr("CUDA error: invalid device function"));
  expect_eager_and_captured_work();
}

INSTANTIATE_TEST_SUITE_P(Launches, RefusedLaunchTest, ::testing::Bool(), [](const auto& info) {
  return info.param ? std::string("overlapping") : std::string("in_order");
});

}  // namespace
}  // namespace samebits
