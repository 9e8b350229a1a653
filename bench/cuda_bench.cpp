// On a card: one decode step of a random Qwen3-0.6B in each of the generator's modes, as the engine
// sees it (inputs copied there, tokens copied back). Observed: with the digest of every marked
// value, which a run reads at the end of its phase.

#include <ATen/ATen.h>
#include <benchmark/benchmark.h>

#include "bench/byte_counter.h"
#include "bench/marks_observer.h"
#include "bench/qwen3_600m.h"
#include "bench/random_qwen3.h"
#include "bench/step_inputs.h"
#include "harness/workload/step_runner.h"

namespace samebits {
namespace {

constexpr int64_t kKeys = 300;  // of each sequence
constexpr int64_t kPages = 19;  // that hold them

// Bytes read and written a second, of a copy that no cache holds: what every floor is counted with.
void copy(benchmark::State& state) {
  const c10::Device card(at::kCUDA, 0);
  if (is_skipped(state, card)) return;
  constexpr int64_t kBytes = int64_t{2} << 30;
  const at::Tensor from =
      at::randint(0, 256, {kBytes}, at::TensorOptions().dtype(at::kByte).device(card));
  const at::Tensor to = at::empty_like(from);
  to.copy_(from);
  wait_for(card);
  for (auto _ : state) {
    for (int i = 0; i < 8; ++i) to.copy_(from);
    wait_for(card);
  }
  state.SetBytesProcessed(state.iterations() * 8 * 2 * kBytes);
}
BENCHMARK(copy)->Name("cuda/copy")->Unit(benchmark::kMillisecond)->UseRealTime()->MinTime(0.2);

// Of one step.
double launches_of(const StepRunner& runner) {
  const Witness witness = runner.witness();
  if (witness.replays == 0) return 0;
  return static_cast<double>(witness.launches) / static_cast<double>(witness.replays);
}

void decode(benchmark::State& state, Execution execution, const std::vector<GraphPass>& passes,
            bool is_observed = false) {
  if (is_skipped(state, at::kCUDA)) return;
  const int64_t sequences = state.range(0);
  const std::unique_ptr<Decoder> model = random_qwen3(qwen3_600m(), Numerics(), at::kCUDA);
  KvCache cache(model->config(), 1, sequences * kPages, kBlockSize, at::kBFloat16, at::kCUDA);
  for (int64_t layer = 0; layer < model->config().num_hidden_layers; ++layer) {
    cache.page(layer, 0).k.normal_();
    cache.page(layer, 0).v.normal_();
  }
  StepRunner runner(*model, cache, {execution, GuardPolicy::kDrop, passes, {}, {sequences}},
                    sequences);
  const StepInputs inputs = step_of(sequences, /*tokens=*/1, kKeys);
  const Selection selection{/*forced=*/false, /*seed=*/1, /*temperature=*/1.0, 0, 1.0};
  MarksObserver observer;
  Observer* const told = is_observed ? &observer : nullptr;
  for (int i = 0; i < 3; ++i) runner.run(inputs, selection, told);  // captures, warms up
  for (auto _ : state) benchmark::DoNotOptimize(runner.run(inputs, selection, told));
  state.counters["launches"] = launches_of(runner);
  state.counters["pool"] = byte_counter(runner.pool_bytes());
}

void batches(benchmark::internal::Benchmark* b) {
  b->ArgName("sequences")->Unit(benchmark::kMillisecond)->UseRealTime()->MinTime(0.2);
  for (const int64_t sequences : {1, 8, 40}) b->Arg(sequences);
}

BENCHMARK_CAPTURE(decode, eager, Execution::kEager, {})
    ->Name("cuda/decode/0.6B/eager")
    ->Apply(batches);
BENCHMARK_CAPTURE(decode, captured, Execution::kCaptured, {})
    ->Name("cuda/decode/0.6B/captured")
    ->Apply(batches);
BENCHMARK_CAPTURE(decode, piecewise, Execution::kPiecewise, {})
    ->Name("cuda/decode/0.6B/piecewise")
    ->Apply(batches);
BENCHMARK_CAPTURE(decode, full_graph, Execution::kFullGraph, {})
    ->Name("cuda/decode/0.6B/full_graph")
    ->Apply(batches);
BENCHMARK_CAPTURE(decode, full_graph_fused, Execution::kFullGraph, {GraphPass::kFuse})
    ->Name("cuda/decode/0.6B/full_graph_fused")
    ->Apply(batches);
BENCHMARK_CAPTURE(decode, persistent, Execution::kPersistent, {})
    ->Name("cuda/decode/0.6B/persistent")
    ->Apply(batches);
BENCHMARK_CAPTURE(decode, piecewise_observed, Execution::kPiecewise, {}, true)
    ->Name("cuda/decode/0.6B/piecewise_observed")
    ->Apply(batches);
BENCHMARK_CAPTURE(decode, full_graph_observed, Execution::kFullGraph, {}, true)
    ->Name("cuda/decode/0.6B/full_graph_observed")
    ->Apply(batches);
BENCHMARK_CAPTURE(decode, persistent_observed, Execution::kPersistent, {}, true)
    ->Name("cuda/decode/0.6B/persistent_observed")
    ->Apply(batches);
}  // namespace
}  // namespace samebits
