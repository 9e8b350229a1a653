// One decode step at several batch sizes, in each of the generator's modes: what replay saves, and
// what it costs that every marked value is digested (observed), on the tiny checkpoint and on a
// random model of 0.1 billion weights. Run from the root of the checkout.

#include <benchmark/benchmark.h>

#include "bench/decode_step.h"
#include "bench/marks_observer.h"

namespace samebits {
namespace {

std::unique_ptr<Decoder> tiny(int64_t tp) { return tiny_model(tp); }

void decode(benchmark::State& state, std::unique_ptr<Decoder> (*make)(int64_t tp),
            Execution execution, const std::vector<GraphPass>& passes, bool is_observed) {
  const int64_t sequences = state.range(1);
  const std::unique_ptr<Decoder> model = make(/*tp=*/state.range(0));
  const KvCache cache = zero_cache(*model, sequences);
  StepRunner runner(*model, cache, {execution, GuardPolicy::kDrop, passes, {}, {}}, sequences);
  const StepInputs inputs = decode_step(sequences);
  MarksObserver observer;
  Observer* const told = is_observed ? &observer : nullptr;
  runner.run(inputs, sampled(), told);  // captures, warms up
  for (auto _ : state) benchmark::DoNotOptimize(runner.run(inputs, sampled(), told));
  state.counters["tokens/s"] = benchmark::Counter(
      static_cast<double>(state.iterations() * sequences), benchmark::Counter::kIsRate);
}

void tiny_arguments(benchmark::internal::Benchmark* b) {
  b->ArgNames({"tp", "sequences"})->Unit(benchmark::kMicrosecond)->UseRealTime();
  for (const int64_t tp : {1, 2}) {
    for (const int64_t sequences : {1, 8, 40}) b->Args({tp, sequences});
  }
}

void large_arguments(benchmark::internal::Benchmark* b) {
  b->ArgNames({"tp", "sequences"})->Unit(benchmark::kMillisecond)->UseRealTime();
  for (const int64_t sequences : {1, 8}) b->Args({1, sequences});
}

const std::vector<GraphPass> kNone;
const std::vector<GraphPass> kAll = {GraphPass::kCommonSubexpressions, GraphPass::kDeadCode,
                                     GraphPass::kFuse};

#define SAMEBITS_DECODE_BENCH(mode, execution, passes, is_observed)                             \
  BENCHMARK_CAPTURE(decode, mode, tiny, execution, passes, is_observed)                         \
      ->Name("decode/tiny/" #mode)                                                              \
      ->Apply(tiny_arguments);                                                                  \
  BENCHMARK_CAPTURE(decode, large_##mode, model_of_100_million, execution, passes, is_observed) \
      ->Name("decode/0.1B/" #mode)                                                              \
      ->Apply(large_arguments)

SAMEBITS_DECODE_BENCH(eager, Execution::kEager, kNone, false);
SAMEBITS_DECODE_BENCH(captured, Execution::kCaptured, kNone, false);
SAMEBITS_DECODE_BENCH(piecewise, Execution::kPiecewise, kNone, false);
SAMEBITS_DECODE_BENCH(piecewise_observed, Execution::kPiecewise, kNone, true);
SAMEBITS_DECODE_BENCH(full_graph, Execution::kFullGraph, kNone, false);
SAMEBITS_DECODE_BENCH(full_graph_observed, Execution::kFullGraph, kNone, true);
SAMEBITS_DECODE_BENCH(full_graph_passes, Execution::kFullGraph, kAll, false);

}  // namespace
}  // namespace samebits
