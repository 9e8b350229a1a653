// The memory that replays take for themselves, over all buckets up to the largest step, against the
// peak of the tensors that eager makes in the largest one. `ratio` is to be 1.1 at most, where the
// largest step comes first: that of a batch which drains, or of prefills before decode. Run from
// the root of the checkout.

#include <benchmark/benchmark.h>

#include "bench/byte_counter.h"
#include "bench/decode_step.h"
#include "harness/graph/arena_allocator.h"

namespace samebits {
namespace {

// Of the tensors that `step` makes, in blocks as a pool has them.
template <typename F>
size_t peak_of(F&& step) {
  const auto arena = std::make_shared<Arena>();
  const ArenaGuard memory(arena);
  step();
  return arena->bytes_used();
}

void pool(benchmark::State& state, Execution execution, bool largest_first) {
  const int64_t most = state.range(1);
  const std::unique_ptr<Decoder> model = tiny_model(/*tp=*/state.range(0));
  const KvCache cache = zero_cache(*model, most);
  StepRunner eager(*model, cache, {Execution::kEager, GuardPolicy::kKeep, {}, {}, {}}, most);
  const size_t peak = peak_of([&] { eager.run(decode_step(most), sampled()); });
  StepRunner replayed(*model, cache, {execution, GuardPolicy::kDrop, {}, {}, {}}, most);
  for (auto _ : state) {
    for (int64_t i = 0; i < most; ++i) {
      replayed.run(decode_step(largest_first ? most - i : i + 1), sampled());
    }
  }
  state.counters["pool"] = byte_counter(replayed.pool_bytes());
  state.counters["eager"] = byte_counter(peak);
  state.counters["ratio"] = static_cast<double>(replayed.pool_bytes()) / static_cast<double>(peak);
}

void arguments(benchmark::internal::Benchmark* b) {
  b->ArgNames({"tp", "sequences"})->Unit(benchmark::kMillisecond)->Iterations(1);
  for (const int64_t tp : {1, 2}) {
    for (const int64_t sequences : {1, 8, 40}) b->Args({tp, sequences});
  }
}

#define SAMEBITS_POOL_BENCH(mode, execution)                              \
  BENCHMARK_CAPTURE(pool, mode##_down, execution, /*largest_first=*/true) \
      ->Name("pool/tiny/" #mode "/largest_first")                         \
      ->Apply(arguments);                                                 \
  BENCHMARK_CAPTURE(pool, mode##_up, execution, /*largest_first=*/false)  \
      ->Name("pool/tiny/" #mode "/smallest_first")                        \
      ->Apply(arguments)

SAMEBITS_POOL_BENCH(piecewise, Execution::kPiecewise);
SAMEBITS_POOL_BENCH(full_graph, Execution::kFullGraph);

}  // namespace
}  // namespace samebits
