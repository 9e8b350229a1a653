// One core: attention's rate per multiply-add, next to bench/linear_bench.cpp's. 16 query heads
// over 8, head size 128. Prefill counts the pairs that the causal mask leaves, two products each
// and five in the backward; decode one query a sequence.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <benchmark/benchmark.h>

#include "harness/kernels/flash_attention.h"

namespace samebits {
namespace {

constexpr int64_t kHeads = 16;
constexpr int64_t kKvHeads = 8;
constexpr int64_t kDim = 128;
constexpr double kScale = 0.08838834764831845;  // 128^-1/2

void count(benchmark::State& state, double pairs, double products) {
  state.counters["FLOP/s"] = benchmark::Counter(2.0 * products * pairs * kHeads * kDim,
                                                benchmark::Counter::kIsIterationInvariantRate);
}

void prefill(benchmark::State& state, at::ScalarType dtype, bool backward) {
  at::set_num_threads(1);
  const int64_t tokens = state.range(0);
  const at::Tensor q = at::randn({1, tokens, kHeads, kDim}).to(dtype);
  const at::Tensor k = at::randn({1, tokens, kKvHeads, kDim}).to(dtype);
  const at::Tensor v = at::randn({1, tokens, kKvHeads, kDim}).to(dtype);
  const at::Tensor ends = at::tensor({0, static_cast<int32_t>(tokens)}, at::kInt);
  const auto [out, lse] = cpu::flash_attention(q, k, v, ends, kScale);
  for (auto _ : state) {
    if (backward) {
      benchmark::DoNotOptimize(cpu::flash_attention_backward(q, q, k, v, out, lse, ends, kScale));
    } else {
      benchmark::DoNotOptimize(cpu::flash_attention(q, k, v, ends, kScale));
    }
  }
  count(state, static_cast<double>(tokens * (tokens + 1)) / 2, backward ? 5 : 2);
}

void decode(benchmark::State& state, at::ScalarType dtype) {
  constexpr int64_t kSequences = 8;
  constexpr int64_t kPageRows = 16;
  at::set_num_threads(1);
  const int64_t keys = state.range(0);
  const int64_t pages = (keys + kPageRows - 1) / kPageRows;
  const at::Tensor q = at::randn({1, kSequences, kHeads, kDim}).to(dtype);
  const at::Tensor k = at::randn({kSequences * pages, kPageRows, kKvHeads, kDim}).to(dtype);
  const at::Tensor v = at::randn({kSequences * pages, kPageRows, kKvHeads, kDim}).to(dtype);
  const at::Tensor table = at::arange(kSequences * pages, at::kInt).view({kSequences, pages});
  const at::Tensor ends = at::arange(kSequences + 1, at::kInt);
  const at::Tensor lengths = at::full({kSequences}, keys, at::kInt);
  for (auto _ : state) {
    benchmark::DoNotOptimize(cpu::paged_attention(q, k, v, table, ends, lengths, kScale));
  }
  count(state, static_cast<double>(kSequences * keys), 2);
}

void sizes(benchmark::internal::Benchmark* b) {
  b->ArgName("tokens")->Arg(30)->Arg(300)->Arg(1024)->Unit(benchmark::kMicrosecond);
}

BENCHMARK_CAPTURE(prefill, bf16, at::kBFloat16, false)
    ->Name("attention/prefill/bf16")
    ->Apply(sizes);
BENCHMARK_CAPTURE(prefill, f32, at::kFloat, false)->Name("attention/prefill/float32")->Apply(sizes);
BENCHMARK_CAPTURE(prefill, b_bf16, at::kBFloat16, true)
    ->Name("attention/backward/bf16")
    ->Apply(sizes);
BENCHMARK_CAPTURE(prefill, b_f32, at::kFloat, true)
    ->Name("attention/backward/float32")
    ->Apply(sizes);
BENCHMARK_CAPTURE(decode, bf16, at::kBFloat16)->Name("attention/decode/bf16")->Apply(sizes);
BENCHMARK_CAPTURE(decode, f32, at::kFloat)->Name("attention/decode/float32")->Apply(sizes);

}  // namespace
}  // namespace samebits
