// One decode step at several batch sizes, in each of the generator's modes: what replay saves, on
// the tiny checkpoint and on a random model of 0.1 billion weights, and the memory that the step's
// tensors take: the pool of a mode that replays, the peak of one that does not. Run from the root
// of the checkout.

#include <ATen/ATen.h>
#include <benchmark/benchmark.h>

#include "harness/graph/arena_allocator.h"
#include "harness/mesh/device_mesh.h"
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

std::unique_ptr<Qwen3> tiny_model(int64_t tp) {
  Arm arm;
  arm.model = "cases/models/tiny";
  arm.mesh.tp = tp;
  return make_model(arm, make_parallel(arm));
}

std::unique_ptr<Qwen3> model_of_100_million(int64_t tp) {
  Qwen3Config config;
  config.vocab_size = 32000;
  config.hidden_size = 768;
  config.num_hidden_layers = 12;
  config.num_attention_heads = 12;
  config.num_key_value_heads = 4;
  config.head_dim = 64;
  config.intermediate_size = 2304;
  config.max_position_embeddings = 1024;
  config.tie_word_embeddings = true;
  Weights weights;
  for (const auto& [name, shape] : qwen3_weight_shapes(config)) {
    weights[name] = (0.02 * at::randn(shape)).to(at::kBFloat16);
  }
  return std::make_unique<Qwen3>(config, Numerics(),
                                 tp == 1 ? TensorParallel() : TensorParallel(make_local_mesh(tp)),
                                 weights);
}

// Of the tensors that `step` makes, in blocks as a pool has them.
template <typename F>
size_t peak_of(F&& step) {
  const auto arena = std::make_shared<Arena>();
  const ArenaGuard memory(arena);
  step();
  return arena->bytes_used();
}

void decode(benchmark::State& state, std::unique_ptr<Qwen3> (*make)(int64_t tp),
            Execution execution) {
  const int64_t tp = state.range(0);
  const int64_t sequences = state.range(1);
  const std::unique_ptr<Qwen3> model = make(tp);
  KvCache cache(model->config(), tp, sequences * kPages, kBlockSize, model->numerics().dtype);
  for (int64_t layer = 0; layer < model->config().num_hidden_layers; ++layer) {
    for (int64_t rank = 0; rank < tp; ++rank) {
      cache.page(layer, rank).k.zero_();
      cache.page(layer, rank).v.zero_();
    }
  }
  StepRunner runner(*model, cache, {execution, GuardPolicy::kDrop, {}, {}, {}}, sequences);
  const StepInputs inputs = decode_step(sequences);
  const Selection selection{/*forced=*/false, /*seed=*/1, /*temperature=*/1.0, 0, 1.0};
  runner.run(inputs, selection);  // captures, warms up
  state.counters["memory"] = benchmark::Counter(
      static_cast<double>(runner.pool_bytes() > 0 ? runner.pool_bytes() : peak_of([&] {
        runner.run(inputs, selection);
      })),
      benchmark::Counter::kDefaults, benchmark::Counter::kIs1024);
  for (auto _ : state) benchmark::DoNotOptimize(runner.run(inputs, selection));
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

#define SAMEBITS_DECODE_BENCH(mode, execution)                             \
  BENCHMARK_CAPTURE(decode, mode, tiny_model, execution)                   \
      ->Name("decode/tiny/" #mode)                                         \
      ->Apply(tiny_arguments);                                             \
  BENCHMARK_CAPTURE(decode, large_##mode, model_of_100_million, execution) \
      ->Name("decode/0.1B/" #mode)                                         \
      ->Apply(large_arguments)

SAMEBITS_DECODE_BENCH(eager, Execution::kEager);
SAMEBITS_DECODE_BENCH(captured, Execution::kCaptured);
SAMEBITS_DECODE_BENCH(piecewise, Execution::kPiecewise);
SAMEBITS_DECODE_BENCH(full_graph, Execution::kFullGraph);

}  // namespace
}  // namespace samebits
