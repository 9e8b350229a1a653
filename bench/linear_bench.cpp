// One core: the contract's linear in bf16 (sm90) and float32 against LibTorch's float32, 4096 x
// 1024. SAMEBITS_CPU chooses the instruction set.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <benchmark/benchmark.h>

#include "harness/kernels/linear.h"

namespace samebits {
namespace {

constexpr int64_t kN = 4096;
constexpr int64_t kK = 1024;

template <typename Run>
void measure(benchmark::State& state, at::ScalarType dtype, Run run) {
  at::set_num_threads(1);
  const at::Tensor x = at::randn({state.range(0), kK}).to(dtype);
  const at::Tensor w = at::randn({kN, kK}).to(dtype);
  for (auto _ : state) benchmark::DoNotOptimize(run(x, w));
  state.counters["FLOP/s"] = benchmark::Counter(2.0 * static_cast<double>(state.range(0) * kN * kK),
                                                benchmark::Counter::kIsIterationInvariantRate);
}

void ours(benchmark::State& state, at::ScalarType dtype) {
  measure(state, dtype, [&](const at::Tensor& x, const at::Tensor& w) {
    return cpu::linear(x, w, /*slice=*/0, /*dgrad_slice=*/0, dtype);
  });
}

void libtorch(benchmark::State& state) {
  measure(state, at::kFloat,
          [](const at::Tensor& x, const at::Tensor& w) { return at::linear(x, w); });
}

void rows(benchmark::internal::Benchmark* b) {
  b->ArgName("rows")->Arg(1)->Arg(8)->Arg(40)->Arg(128)->Arg(512)->Unit(benchmark::kMicrosecond);
}

BENCHMARK_CAPTURE(ours, bf16, at::kBFloat16)->Name("linear/bf16")->Apply(rows);
BENCHMARK_CAPTURE(ours, float32, at::kFloat)->Name("linear/float32")->Apply(rows);
BENCHMARK(libtorch)->Name("linear/libtorch_float32")->Apply(rows);

}  // namespace
}  // namespace samebits
