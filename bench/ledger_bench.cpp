// What the guard ledger costs a replay: its check alone, as a share of a decode step of two
// sequences, with guards dropped. The guard is that of a gather whose size is asked for
// (pytorch#175690), traced at two tokens, checked there and at one, where it is false. `share` is
// to be 0.01 at most. Run from the root of the checkout.

#include <benchmark/benchmark.h>

#include <filesystem>
#include <fstream>

#include "bench/decode_step.h"
#include "harness/base/stopwatch.h"
#include "harness/capture/guard_ledger.h"
#include "harness/workload/generator_graph.h"

namespace samebits {
namespace {

constexpr int64_t kTraced = 2;  // sequences
constexpr int kSteps = 400;

double seconds_of_a_step(StepRunner& runner) {
  const StepInputs inputs = decode_step(kTraced);
  runner.run(inputs, sampled());  // captures
  const Stopwatch watch;
  for (int i = 0; i < kSteps; ++i) runner.run(inputs, sampled());
  return watch.seconds() / kSteps;
}

// The runner's graph, for a ledger of its own.
std::shared_ptr<const ir::Graph> graph_of(const StepRunner& runner, const Decoder& model,
                                          const KvCache& cache) {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / "samebits-ledger-bench.json";
  std::ofstream(file) << runner.saved_graphs().at(0);
  auto graph = std::make_shared<const ir::Graph>(load_generator_graph(file, model, cache));
  std::filesystem::remove(file);
  return graph;
}

void ledger(benchmark::State& state) {
  const int64_t sequences = state.range(0);
  const std::unique_ptr<Decoder> model = tiny_model(/*tp=*/2, GatheredSize::kConditional);
  const KvCache cache = zero_cache(*model, kTraced);
  StepRunner runner(*model, cache, {Execution::kFullGraph, GuardPolicy::kDrop, {}, {}, {}},
                    kTraced);
  const double step = seconds_of_a_step(runner);

  const auto graph = graph_of(runner, *model, cache);
  // Every symbol but the width of the block table counts sequences, or one more.
  std::vector<int64_t> symbols;
  for (const ShapeEnv::Symbol& symbol : graph->symbols) {
    symbols.push_back(symbol.name == "blocks" ? kPages
                                              : sequences + (symbol.name == "boundaries" ? 1 : 0));
  }
  GuardLedger ledger(graph);
  const Stopwatch watch;
  bool holds = true;
  for (auto _ : state) holds = ledger.check(symbols, GuardPolicy::kDrop);
  const double check = watch.seconds() / static_cast<double>(state.iterations());
  state.counters["guards"] = static_cast<double>(graph->guards.size());
  state.counters["holds"] = holds ? 1 : 0;
  state.counters["share"] = check / step;
}

BENCHMARK(ledger)
    ->Name("ledger/tiny/full_graph")
    ->ArgName("sequences")
    ->Arg(2)
    ->Arg(1)
    ->Unit(benchmark::kNanosecond);

}  // namespace
}  // namespace samebits
