// Whole generations, prompts in, sampled tokens out, in each of the generator's modes: a random
// Qwen3-0.6B on a card, the tiny shape on the CPU. bench/peers/hf_generate.py measures the same
// runs of Transformers. A name tells the tokens of each prompt, the sequences and the new tokens of
// each; the iterations are the runs that the figures are over, after one that captures and warms
// up. `prompt:30/sequences:40/new:20` is a rollout: 5 prompts, 8 samples each.
//
// Time       of a run
// tokens/s   new tokens by that time
// first_ms   median time of runs that stop at the first token of every sequence
// token_*    milliseconds from one token of a sequence to its next: what a run takes beyond
//            first_ms, by the tokens left. One value a run; mean, sd, median, least, most
// peak       bytes of tensors on the card at once, or of the process

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "bench/qwen3_600m.h"
#include "bench/random_qwen3.h"
#include "harness/base/stopwatch.h"
#include "harness/workload/engine.h"

namespace samebits {
namespace {

constexpr int64_t kBlockSize = 16;
constexpr int64_t kMaxBatchTokens = 2048;  // a long prompt, or all short ones, in one step

std::vector<Request> requests_of(int64_t sequences, int64_t prompt, int64_t vocab) {
  std::vector<Request> requests;
  for (int64_t i = 0; i < sequences; ++i) {
    std::vector<int64_t> tokens(prompt);
    for (int64_t t = 0; t < prompt; ++t) tokens[t] = (31 * i + 7 * t + 1) % vocab;
    requests.push_back({i, std::move(tokens), {}});
  }
  return requests;
}

Engine make_engine(const Decoder& model, Execution execution, const std::vector<GraphPass>& passes,
                   int64_t sequences, int64_t longest) {
  EngineSettings settings;
  settings.max_batch_tokens = kMaxBatchTokens;
  settings.block_size = kBlockSize;
  settings.blocks = sequences * Engine::blocks_for(longest, kBlockSize);
  // The batches of decoding, then the prompts of each benchmark in one step.
  const std::vector<int64_t> buckets = {1, 8, 16, 24, 32, 40, 640, 1200, kMaxBatchTokens};
  settings.mode = {execution, GuardPolicy::kDrop, passes, /*graph=*/{}, buckets};
  return Engine(model, settings);
}

double mean(const std::vector<double>& x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
}

double median(std::vector<double> x) {
  std::sort(x.begin(), x.end());
  return (x[(x.size() - 1) / 2] + x[x.size() / 2]) / 2;
}

double sample_sd(const std::vector<double>& x) {
  if (x.size() < 2) return 0;
  double squares = 0;
  for (const double value : x) squares += (value - mean(x)) * (value - mean(x));
  return std::sqrt(squares / static_cast<double>(x.size() - 1));
}

void generate(benchmark::State& state, DecoderConfig (*config)(), c10::DeviceType device,
              Execution execution, const std::vector<GraphPass>& passes) {
  if (is_skipped(state, device)) return;
  const int64_t prompt = state.range(0);
  const int64_t sequences = state.range(1);
  const int64_t tokens = state.range(2);  // new ones, of each sequence
  const bool on_card = device == c10::DeviceType::CUDA;
  reset_peak_memory();
  reset_peak_device_memory();

  const std::unique_ptr<Decoder> model = random_qwen3(config(), Numerics(), device);
  Engine engine = make_engine(*model, execution, passes, sequences, prompt + tokens);
  const std::vector<Request> requests = requests_of(sequences, prompt, model->config().vocab_size);
  const auto run = [&](int64_t new_tokens) {
    const Stopwatch watch;
    engine.generate(requests, {/*seed=*/1, new_tokens, /*temperature=*/1.0, 0, 1.0});
    return watch.seconds() * 1e3;
  };

  run(std::min<int64_t>(tokens, 64));  // captures, warms up
  std::vector<double> first, between;
  for (auto _ : state) {
    state.PauseTiming();
    first.push_back(run(1));
    state.ResumeTiming();
    between.push_back(run(tokens));  // and its first tokens, taken off below
  }
  for (double& ms : between) ms = (ms - median(first)) / static_cast<double>(tokens - 1);
  using benchmark::Counter;
  const auto produced = static_cast<double>(state.iterations() * sequences * tokens);
  state.counters["tokens/s"] = Counter(produced, Counter::kIsRate);
  state.counters["first_ms"] = median(first);
  state.counters["token_mean"] = mean(between);
  state.counters["token_sd"] = sample_sd(between);
  state.counters["token_median"] = median(between);
  state.counters["token_least"] = *std::min_element(between.begin(), between.end());
  state.counters["token_most"] = *std::max_element(between.begin(), between.end());
  state.counters["peak"] =
      Counter(static_cast<double>(on_card ? peak_device_memory() : peak_memory_bytes()),
              Counter::kDefaults, Counter::kIs1024);
}

void as_runs(benchmark::internal::Benchmark* b, int64_t runs) {
  b->ArgNames({"prompt", "sequences", "new"})
      ->Unit(benchmark::kMillisecond)
      ->UseRealTime()
      ->Iterations(runs);
}

// About 10,240 tokens in five runs; of one sequence in the modes whose host is not what is
// measured, an eighth of that in the others.
void large(benchmark::internal::Benchmark* b, int64_t new_of_one) {
  as_runs(b, 5);
  b->Args({16, 1, new_of_one})->Args({2048, 1, 256})->Args({16, 40, 52})->Args({30, 40, 20});
}
void large_graph(benchmark::internal::Benchmark* b) { large(b, 2048); }
void large_host(benchmark::internal::Benchmark* b) { large(b, 256); }

// 81,920 tokens of prompts: two runs.
void largest(benchmark::internal::Benchmark* b) {
  as_runs(b, 2);
  b->Args({2048, 40, 52});
}

void tiny(benchmark::internal::Benchmark* b) {
  as_runs(b, 5);
  b->Args({16, 1, 64})->Args({256, 1, 16})->Args({30, 40, 20});
}

const std::vector<GraphPass> kNone;
const std::vector<GraphPass> kFused = {GraphPass::kFuse};
constexpr c10::DeviceType kCard = c10::DeviceType::CUDA;
constexpr c10::DeviceType kHost = c10::DeviceType::CPU;

#define SAMEBITS_GENERATOR_BENCH(mode, execution, passes, arguments)                \
  BENCHMARK_CAPTURE(generate, large_##mode, qwen3_600m, kCard, execution, passes)   \
      ->Name("generator/0.6B/" #mode)                                               \
      ->Apply(arguments);                                                           \
  BENCHMARK_CAPTURE(generate, largest_##mode, qwen3_600m, kCard, execution, passes) \
      ->Name("generator/0.6B/" #mode)                                               \
      ->Apply(largest);                                                             \
  BENCHMARK_CAPTURE(generate, tiny_##mode, qwen3_tiny, kHost, execution, passes)    \
      ->Name("generator/tiny/" #mode)                                               \
      ->Apply(tiny)

SAMEBITS_GENERATOR_BENCH(eager, Execution::kEager, kNone, large_host);
SAMEBITS_GENERATOR_BENCH(captured, Execution::kCaptured, kNone, large_host);
SAMEBITS_GENERATOR_BENCH(piecewise, Execution::kPiecewise, kNone, large_host);
SAMEBITS_GENERATOR_BENCH(full_graph, Execution::kFullGraph, kNone, large_graph);
SAMEBITS_GENERATOR_BENCH(full_graph_fused, Execution::kFullGraph, kFused, large_graph);

}  // namespace
}  // namespace samebits
