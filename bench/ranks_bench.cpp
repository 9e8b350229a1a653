// From nothing to ranks that are there: processes of this program that have loaded their libraries,
// met in the store, and said who they are.

#include <benchmark/benchmark.h>

#include "harness/run/rank_pool.h"

namespace samebits {
namespace {

void start_ranks(benchmark::State& state) {
  for (auto _ : state) {
    auto pool = RankPool::start(state.range(0));
    state.PauseTiming();
    pool.reset();
    state.ResumeTiming();
  }
}

BENCHMARK(start_ranks)
    ->Name("ranks/start")
    ->ArgName("ranks")
    ->Arg(2)
    ->Arg(4)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->Iterations(3);

}  // namespace
}  // namespace samebits
