// One training step of GRPO on given rollouts: the contract's arithmetic, with and without the
// K-slices of TP invariance, beside LibTorch's own kernels, which promise no bit: `libtorch` with
// its scaled_dot_product_attention, `libtorch_flash` with the contract's attention. Neither can be
// captured; `full_graph` replays what was. A random Qwen3-0.6B on a card, the tiny shape on the
// CPU. `packed` 0: one sequence a micro-batch; otherwise all of them are one, in so many groups of
// the gradient. After a step that captures and warms up:
//
// Time       of a step: gradients and optimizer
// gradients  ms of forward, loss, backward and accumulation, all sequences
// forward    ms of the forwards alone, measured once, eager; what `gradients` takes beyond it is
//            backward
// optimizer  ms of norm, clipping, AdamW and clearing
// peak       bytes of tensors at once, on a card: weights, gradients, optimizer state, graph pools

#include <benchmark/benchmark.h>

#include <cmath>

#include "bench/byte_counter.h"
#include "bench/qwen3_600m.h"
#include "bench/random_qwen3.h"
#include "harness/base/stopwatch.h"
#include "harness/workload/trainer.h"

namespace samebits {
namespace {

std::vector<Sample> rollouts(int64_t sequences, int64_t prompt, int64_t tokens, int64_t vocab) {
  std::vector<Sample> samples;
  for (int64_t i = 0; i < sequences; ++i) {
    Sample sample;
    for (int64_t t = 0; t < prompt + tokens; ++t) {
      sample.tokens.push_back((31 * i + 7 * t + 1) % vocab);
    }
    sample.prompt_length = prompt;
    sample.logprobs.assign(tokens, -std::log(static_cast<float>(vocab)));
    sample.advantage = i % 2 == 0 ? 0.5f : -0.5f;
    samples.push_back(std::move(sample));
  }
  return samples;
}

void train(benchmark::State& state, DecoderConfig (*config)(), c10::DeviceType device,
           const Numerics& numerics, Execution execution) {
  if (is_skipped(state, device)) return;
  reset_peak_device_memory();
  const std::unique_ptr<Decoder> model = random_qwen3(config(), numerics, device);
  const int64_t sequences = state.range(0);
  const std::vector<Sample> samples =
      rollouts(sequences, state.range(1), state.range(2), model->config().vocab_size);
  const int64_t groups = state.range(3);
  Optimizer optimizer(*model, OptimizerSettings(), {execution},
                      groups == 0 ? kGradientGroups : groups);
  const int64_t length = state.range(1) + state.range(2);
  const TrainerSettings settings{
      .loss = {}, .sequences = sequences, .max_tokens = groups == 0 ? length : sequences * length};
  Trainer trainer(*model, optimizer, settings, {execution, GuardPolicy::kDrop});
  const auto milliseconds = [&](const auto& part) {
    wait_for(model->device());
    const Stopwatch watch;
    part();
    wait_for(model->device());
    return watch.seconds() * 1e3;
  };
  const auto accumulate = [&] { trainer.accumulate(samples); };
  const auto update = [&] { optimizer.step(); };
  const auto forward = [&] {
    for (const Sample& sample : samples) {
      sequence_logprobs(*model, sample.tokens, sample.prompt_length);
    }
  };

  accumulate();  // captures, warms up
  update();
  double gradients = 0;
  double updates = 0;
  for (auto _ : state) {
    gradients += milliseconds(accumulate);
    updates += milliseconds(update);
  }
  const auto a_step = benchmark::Counter::kAvgIterations;
  state.counters["gradients"] = benchmark::Counter(gradients, a_step);
  state.counters["optimizer"] = benchmark::Counter(updates, a_step);
  if (model->device().is_cuda()) {
    state.counters["peak"] = byte_counter(peak_device_memory());
  }
  if (execution == Execution::kEager) state.counters["forward"] = milliseconds(forward);
}

void steps(benchmark::internal::Benchmark* b) {
  b->ArgNames({"sequences", "prompt", "new", "packed"})
      ->Unit(benchmark::kMillisecond)
      ->UseRealTime()
      ->Iterations(3);
}

// A rollout's, and one so long that the card is what is waited for.
void large(benchmark::internal::Benchmark* b) {
  steps(b);
  for (const int64_t packed : {0, 8, 1}) {
    b->Args({40, 30, 20, packed})->Args({4, 1024, 1024, packed});
  }
}

void tiny(benchmark::internal::Benchmark* b) {
  steps(b);
  for (const int64_t packed : {0, 8, 1}) b->Args({40, 30, 20, packed});
}

constexpr Numerics kContract{};
constexpr Numerics kOneChain{.tp_invariant = false};
constexpr Numerics kLibTorch{.contract = false, .flash = false, .tp_invariant = false};
constexpr Numerics kLibTorchFlash{.contract = false, .tp_invariant = false};
constexpr c10::DeviceType kCard = c10::DeviceType::CUDA;
constexpr c10::DeviceType kHost = c10::DeviceType::CPU;

#define SAMEBITS_TRAIN_BENCH(name, numerics, mode, execution)                             \
  BENCHMARK_CAPTURE(train, large_##name##_##mode, qwen3_600m, kCard, numerics, execution) \
      ->Name("train/0.6B/" #name "/" #mode)                                               \
      ->Apply(large);                                                                     \
  BENCHMARK_CAPTURE(train, tiny_##name##_##mode, qwen3_tiny, kHost, numerics, execution)  \
      ->Name("train/tiny/" #name "/" #mode)                                               \
      ->Apply(tiny)

SAMEBITS_TRAIN_BENCH(contract, kContract, eager, Execution::kEager);
SAMEBITS_TRAIN_BENCH(contract, kContract, captured, Execution::kCaptured);
SAMEBITS_TRAIN_BENCH(contract, kContract, full_graph, Execution::kFullGraphAlways);
SAMEBITS_TRAIN_BENCH(one_chain, kOneChain, eager, Execution::kEager);
SAMEBITS_TRAIN_BENCH(one_chain, kOneChain, captured, Execution::kCaptured);
SAMEBITS_TRAIN_BENCH(libtorch, kLibTorch, eager, Execution::kEager);
SAMEBITS_TRAIN_BENCH(libtorch_flash, kLibTorchFlash, eager, Execution::kEager);

}  // namespace
}  // namespace samebits
