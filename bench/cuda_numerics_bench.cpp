// On a card: what the contract costs a step of the generator. The same step of a random Qwen3-0.6B,
// sampling inside, under the contract's arithmetic with and without the K-slices of TP invariance,
// and with LibTorch's kernels for all but attention and sampling, which promise no bit. Each is one
// CUDA graph of its operators, none of them fused, so that no host's time stands between them.
// `decode`: one token of each sequence after 299; `prefill`: one prompt.

#include <ATen/ATen.h>
#include <benchmark/benchmark.h>
#include <c10/core/GradMode.h>

#include "bench/qwen3_600m.h"
#include "bench/random_qwen3.h"
#include "bench/step_inputs.h"
#include "bench/time_replays.h"
#include "harness/kernels/functional.h"
#include "harness/workload/step_runner.h"

namespace samebits {
namespace {

void replay(benchmark::State& state, const Numerics& numerics, const StepInputs& in) {
  const c10::NoGradGuard no_grad;
  const std::unique_ptr<Decoder> model = random_qwen3(qwen3_600m(), numerics, at::kCUDA);
  const int64_t blocks = in.block_table.numel();
  const KvCache cache(model->config(), 1, blocks, kBlockSize, numerics.dtype, at::kCUDA);
  for (int64_t layer = 0; layer < model->config().num_hidden_layers; ++layer) {
    cache.page(layer, 0).k.normal_();
    cache.page(layer, 0).v.normal_();
  }
  const PagedAttention attention(numerics, cache,
                                 {in.slots, in.block_table, in.cu_seqlens, in.seq_lens},
                                 model->attention_scale());
  const auto step = [&] {
    const at::Tensor logits = model->forward(in.ids, in.positions, attention, in.rows);
    return ops::sample(logits.view({-1, model->padded_vocab()}), in.keys,
                       model->config().vocab_size, /*seed=*/1, /*temperature=*/1.0, /*top_k=*/0,
                       /*top_p=*/1.0);
  };
  wait_for(model->device());
  decltype(step()) chosen;    // held, so that the graph's outputs stay
  const auto warm_up = [&] {  // certifies, makes cuBLAS's workspace
    for (int i = 0; i < 3; ++i) step();
  };
  time_replays(state, warm_up, [&] { chosen = step(); });
}

void decode(benchmark::State& state, const Numerics& numerics) {
  if (is_skipped(state, at::kCUDA)) return;
  replay(state, numerics, step_of(state.range(0), 1, 300, at::kCUDA));
}

void prefill(benchmark::State& state, const Numerics& numerics) {
  if (is_skipped(state, at::kCUDA)) return;
  replay(state, numerics, step_of(1, state.range(0), state.range(0), at::kCUDA));
}

void batches(benchmark::internal::Benchmark* b) {
  b->ArgName("sequences")->Unit(benchmark::kMillisecond)->UseRealTime()->MinTime(0.2);
  for (const int64_t sequences : {1, 8, 40}) b->Arg(sequences);
}

void prompts(benchmark::internal::Benchmark* b) {
  b->ArgName("tokens")->Unit(benchmark::kMillisecond)->UseRealTime()->MinTime(0.2);
  for (const int64_t tokens : {256, 2048}) b->Arg(tokens);
}

constexpr Numerics kContract{};
constexpr Numerics kOneChain{.tp_invariant = false};
// LibTorch has no paged attention, and a dense one that gathers pages reads lengths on the host.
constexpr Numerics kLibTorch{.contract = false, .tp_invariant = false};

#define SAMEBITS_NUMERICS_BENCH(name, numerics)                                                   \
  BENCHMARK_CAPTURE(decode, name, numerics)->Name("numerics/decode/0.6B/" #name)->Apply(batches); \
  BENCHMARK_CAPTURE(prefill, name, numerics)->Name("numerics/prefill/0.6B/" #name)->Apply(prompts)

SAMEBITS_NUMERICS_BENCH(contract, kContract);
SAMEBITS_NUMERICS_BENCH(one_chain, kOneChain);
SAMEBITS_NUMERICS_BENCH(libtorch, kLibTorch);

}  // namespace
}  // namespace samebits
