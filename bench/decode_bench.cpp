// One decode step of the tiny checkpoint at several batch sizes, in each of the generator's modes:
// what replay saves. Run from the root of the checkout.

#include <ATen/ATen.h>
#include <benchmark/benchmark.h>

#include "harness/workload/step_runner.h"
#include "harness/workload/workload.h"

namespace samebits {
namespace {

constexpr int64_t kBlockSize = 16;
constexpr int64_t kPages = 2;      // of each sequence
constexpr int64_t kPosition = 20;  // of every token

// One token of each of `sequences` sequences.
StepInputs decode_step(int64_t sequences) {
  const at::Tensor first = at::arange(sequences) * kPages;  // page of each sequence
  return {at::full({1, sequences}, 5, at::kLong),
          at::full({1, sequences}, kPosition, at::kLong),
          (first + kPosition / kBlockSize) * kBlockSize + kPosition % kBlockSize,
          at::stack({first, first + 1}, 1).to(at::kInt),
          at::arange(sequences + 1, at::kInt),
          at::full({sequences}, kPosition + 1, at::kInt),
          at::arange(sequences),
          at::stack({at::arange(sequences), at::full({sequences}, kPosition + 1)}, 1)};
}

void decode(benchmark::State& state, Execution execution) {
  Arm arm;
  arm.model = "cases/models/tiny";
  arm.mesh.tp = state.range(0);
  const int64_t sequences = state.range(1);
  const std::unique_ptr<Qwen3> model = make_model(arm, make_parallel(arm));
  KvCache cache(model->config(), arm.mesh.tp, sequences * kPages, kBlockSize,
                model->numerics().dtype);
  for (int64_t layer = 0; layer < model->config().num_hidden_layers; ++layer) {
    for (int64_t rank = 0; rank < arm.mesh.tp; ++rank) {
      cache.page(layer, rank).k.zero_();
      cache.page(layer, rank).v.zero_();
    }
  }
  StepRunner runner(*model, cache, {execution, GuardPolicy::kDrop, {}, {}}, sequences);
  const StepInputs inputs = decode_step(sequences);
  const Selection selection{/*forced=*/false, /*seed=*/1, /*temperature=*/1.0, 0, 1.0};
  runner.run(inputs, selection);  // captures, warms up
  for (auto _ : state) benchmark::DoNotOptimize(runner.run(inputs, selection));
  state.counters["tokens/s"] = benchmark::Counter(
      static_cast<double>(state.iterations() * sequences), benchmark::Counter::kIsRate);
}

void add_arguments(benchmark::internal::Benchmark* b) {
  b->ArgNames({"tp", "sequences"})->Unit(benchmark::kMicrosecond)->UseRealTime();
  for (const int64_t tp : {1, 2}) {
    for (const int64_t sequences : {1, 8, 40}) b->Args({tp, sequences});
  }
}

BENCHMARK_CAPTURE(decode, eager, Execution::kEager)->Apply(add_arguments);
BENCHMARK_CAPTURE(decode, captured, Execution::kCaptured)->Apply(add_arguments);
BENCHMARK_CAPTURE(decode, piecewise, Execution::kPiecewise)->Apply(add_arguments);
BENCHMARK_CAPTURE(decode, full_graph, Execution::kFullGraph)->Apply(add_arguments);

}  // namespace
}  // namespace samebits
