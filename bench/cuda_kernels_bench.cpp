// The contract's kernels on a card, at the shapes of Qwen3-0.6B, beside LibTorch's where it has the
// operator; LibTorch's do not keep the contract. A graph of many calls is replayed, each call on
// its own copy of the operands, so that they come from memory and not from the second level cache.
// `us`: of one call. `GB/s`: bytes that a call must read or write at least once, by that time.

#include <ATen/ATen.h>
#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <benchmark/benchmark.h>

#include <algorithm>
#include <functional>

#include "bench/time_replays.h"
#include "harness/kernels/device.h"
#include "harness/kernels/functional.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;

at::TensorOptions of(at::ScalarType dtype) {
  return at::TensorOptions().dtype(dtype).device(at::kCUDA);
}
at::Tensor random(at::IntArrayRef sizes) { return at::randn(sizes, of(at::kBFloat16)); }

// What a benchmark measures: operands, and a call on them.
struct Kernel {
  std::function<Tensors()> operands;
  std::function<void(const Tensors&)> call;
  int64_t result_bytes = 0;
};

void replay(benchmark::State& state, const Kernel& kernel) {
  if (const std::string reason = why_no_cuda(); !reason.empty()) {
    return state.SkipWithError(reason.c_str());
  }
  constexpr int64_t kCold = int64_t{128} << 20;  // more than the cache holds
  constexpr int64_t kMost = 64;
  std::vector<Tensors> copies{kernel.operands()};
  int64_t bytes = kernel.result_bytes;
  for (const at::Tensor& x : copies[0]) bytes += static_cast<int64_t>(x.nbytes());
  const int64_t calls = std::clamp<int64_t>(kCold / std::max<int64_t>(bytes, 1), 2, kMost);
  while (static_cast<int64_t>(copies.size()) < calls) copies.push_back(kernel.operands());

  time_replays(
      state, [&] { kernel.call(copies[0]); },
      [&] {
        for (const Tensors& operands : copies) kernel.call(operands);
      });
  const auto done = static_cast<double>(state.iterations() * calls);
  using benchmark::Counter;
  state.counters["us"] = Counter(done * 1e-6, Counter::kIsRate | Counter::kInvert);
  state.counters["GB/s"] = Counter(done * static_cast<double>(bytes) * 1e-9, Counter::kIsRate);
}

// ---- matrices ----------------------------------------------------------------------------------
enum class Product { kForward, kDgrad, kWgrad };

Kernel linear(Product product, bool ours, int64_t slices, int64_t m, int64_t n, int64_t k) {
  const int64_t slice = slices == 0 ? 0 : k / slices;
  Kernel kernel;
  switch (product) {
    case Product::kForward:
      kernel.operands = [=] { return Tensors{random({m, k}), random({n, k})}; };
      kernel.call = [=](const Tensors& x) {
        ours ? ops::linear(x[0], x[1], slice, 0, at::kBFloat16) : at::linear(x[0], x[1]);
      };
      kernel.result_bytes = 2 * m * n;
      break;
    case Product::kDgrad:
      kernel.operands = [=] { return Tensors{random({m, n}), random({n, k})}; };
      kernel.call = [=](const Tensors& x) {
        ours ? ops::linear_dgrad(x[0], x[1], 0) : at::mm(x[0], x[1]);
      };
      kernel.result_bytes = (ours ? 4 : 2) * m * k;
      break;
    case Product::kWgrad:
      kernel.operands = [=] {
        return Tensors{random({m, n}), random({m, k}), random({n, k}).to(at::kFloat)};
      };
      kernel.call = [=](const Tensors& x) {
        if (ours) {
          ops::linear_wgrad_(x[0], x[1], /*starts=*/std::nullopt, x[2]);
        } else {
          at::mm(x[0].t(), x[1]);
        }
      };
      kernel.result_bytes = (ours ? 8 : 2) * n * k;  // a sum is read, too
      break;
  }
  return kernel;
}

void matrices(benchmark::State& state, Product product, bool ours, int64_t slices) {
  replay(state, linear(product, ours, slices, state.range(0), state.range(1), state.range(2)));
}

void all_shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"m", "n", "k"})->UseRealTime()->MinTime(0.02);
  for (const int64_t m : {1, 8, 40, 512, 4096}) {
    for (const auto& [n, k] : std::vector<std::pair<int64_t, int64_t>>{
             {1024, 1024}, {2048, 1024}, {3072, 1024}, {1024, 2048}, {1024, 3072}}) {
      b->Args({m, n, k});
    }
    if (m <= 512) b->Args({m, 151936, 1024});
  }
}
void sliced_shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"m", "n", "k"})->UseRealTime()->MinTime(0.02);
  for (const int64_t m : {1, 8, 40, 512, 4096}) b->Args({m, 1024, 2048})->Args({m, 1024, 3072});
}
void trained_shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"m", "n", "k"})->UseRealTime()->MinTime(0.02);
  for (const int64_t m : {512, 4096}) b->Args({m, 3072, 1024})->Args({m, 1024, 3072});
}

// ---- attention ---------------------------------------------------------------------------------
constexpr int64_t kHeads = 16;
constexpr int64_t kKvHeads = 8;
constexpr int64_t kHeadDim = 128;
constexpr double kScale = 0.08838834764831845;
constexpr int64_t kPageRows = 16;

at::Tensor boundaries(int64_t sequences, int64_t length) {
  return (at::arange(sequences + 1, of(at::kInt)) * length).to(at::kInt);
}

void decode_attention(benchmark::State& state, bool ours) {
  const int64_t sequences = state.range(0);
  const int64_t keys = state.range(1);
  const int64_t pages = (keys + kPageRows - 1) / kPageRows;
  Kernel kernel;
  kernel.operands = [=] {
    const at::Tensor q = random({sequences, kHeads, kHeadDim});
    const auto cache = [=] {
      return ours ? random({sequences * pages, kPageRows, kKvHeads, kHeadDim})
                  : random({sequences * keys, kKvHeads, kHeadDim});
    };
    return Tensors{ours ? q.unsqueeze(0) : q, cache(), cache()};
  };
  const at::Tensor table = at::arange(sequences * pages, of(at::kInt)).view({sequences, pages});
  const at::Tensor queries = boundaries(sequences, 1);
  const at::Tensor key_ends = boundaries(sequences, keys);
  const at::Tensor lengths = at::full({sequences}, keys, of(at::kInt));
  kernel.call = [=](const Tensors& x) {
    if (ours) {
      ops::paged_attention(x[0], x[1], x[2], table, queries, lengths, kScale);
    } else {
      at::_flash_attention_forward(x[0], x[1], x[2], queries, key_ends, 1, keys, 0.0, true, false,
                                   kScale);
    }
  };
  replay(state, kernel);
}

void prefill_attention(benchmark::State& state, bool ours, bool backward) {
  const int64_t tokens = state.range(0);
  Kernel kernel;
  const at::Tensor ends = boundaries(1, tokens);
  kernel.operands = [=] {
    const auto with_batch = [ours](at::Tensor x) { return ours ? x.unsqueeze(0) : x; };
    Tensors x{with_batch(random({tokens, kHeads, kHeadDim})),
              with_batch(random({tokens, kKvHeads, kHeadDim})),
              with_batch(random({tokens, kKvHeads, kHeadDim}))};
    if (!backward) return x;
    x.push_back(at::randn_like(x[0]));
    if (ours) {
      const auto [out, lse] = ops::flash_attention(x[0], x[1], x[2], ends, kScale);
      x.insert(x.end(), {out, lse});
    } else {
      const auto [out, lse, seed, offset, mask] = at::_flash_attention_forward(
          x[0], x[1], x[2], ends, ends, tokens, tokens, 0.0, true, false, kScale);
      x.insert(x.end(), {out, lse, seed, offset});
    }
    return x;
  };
  kernel.call = [=](const Tensors& x) {
    if (ours && backward) {
      ops::flash_attention_backward(x[3], x[0], x[1], x[2], x[4], x[5], ends, kScale);
    } else if (ours) {
      ops::flash_attention(x[0], x[1], x[2], ends, kScale);
    } else if (backward) {
      at::_flash_attention_backward(x[3], x[0], x[1], x[2], x[4], x[5], ends, ends, tokens, tokens,
                                    0.0, true, x[6], x[7], kScale);
    } else {
      at::_flash_attention_forward(x[0], x[1], x[2], ends, ends, tokens, tokens, 0.0, true, false,
                                   kScale);
    }
  };
  replay(state, kernel);
}

void contexts(benchmark::internal::Benchmark* b) {
  b->ArgNames({"sequences", "keys"})->UseRealTime()->MinTime(0.02);
  for (const int64_t sequences : {1, 8, 40}) b->Args({sequences, 300});
  for (const int64_t keys : {2048, 8192}) b->Args({1, keys})->Args({8, keys});
}
void prefills(benchmark::internal::Benchmark* b) {
  b->ArgName("tokens")->UseRealTime()->MinTime(0.02);
  for (const int64_t tokens : {300, 2048, 8192}) b->Arg(tokens);
}

// ---- what is between them ----------------------------------------------------------------------
constexpr int64_t kHidden = 1024;
constexpr int64_t kVocab = 151936;

Kernel norm(int64_t m) {
  return {[=] {
            return Tensors{random({m, kHidden}), random({kHidden})};
          },
          [](const Tensors& x) { ops::rms_norm(x[0], x[1], 1e-6, false); }, 2 * m * kHidden};
}
Kernel residual_norm(int64_t m) {
  return {[=] {
            return Tensors{random({m, kHidden}), random({m, kHidden}), random({kHidden})};
          },
          [](const Tensors& x) { ops::residual_rms_norm(x[0], x[1], x[2], 1e-6); },
          4 * m * kHidden};
}
Kernel norm_rope(int64_t m) {
  const at::Tensor table = at::randn({4096, kHeadDim / 2}, of(at::kFloat));
  const at::Tensor positions = at::arange(m, of(at::kLong)).view({1, m});
  return {[=] {
            return Tensors{random({1, m, kHeads, kHeadDim}), random({kHeadDim})};
          },
          [=](const Tensors& x) { ops::rms_norm_rope(x[0], x[1], 1e-6, table, table, positions); },
          4 * m * kHeads * kHeadDim};
}
Kernel silu(int64_t m) {
  return {[=] {
            return Tensors{random({m, 3072}), random({m, 3072})};
          },
          [](const Tensors& x) { ops::silu_mul(x[0], x[1], false); }, 2 * m * 3072};
}
Kernel write(int64_t m) {
  const at::Tensor slots = at::arange(m, of(at::kLong));
  const auto cache = [=] { return random({m / kPageRows + 1, kPageRows, kKvHeads, kHeadDim}); };
  return {[=] {
            return Tensors{random({1, m, kKvHeads, kHeadDim}), random({1, m, kKvHeads, kHeadDim}),
                           cache(), cache()};
          },
          [=](const Tensors& x) { ops::write_kv(x[2], x[3], x[0], x[1], slots); }};
}
Kernel draw(int64_t m) {
  const at::Tensor keys = at::arange(2 * m, of(at::kLong)).view({m, 2});
  return {[=] {
            return Tensors{random({m, kVocab})};
          },
          [=](const Tensors& x) { ops::sample(x[0], keys, kVocab, 1, 1.0, 0, 1.0); }};
}
Kernel log_softmax(int64_t m) {
  const at::Tensor targets = at::arange(m, of(at::kLong));
  return {[=] {
            return Tensors{random({m, kVocab})};
          },
          [=](const Tensors& x) { ops::log_softmax_gather(x[0], targets, kVocab); }};
}

void kernel(benchmark::State& state, Kernel (*make)(int64_t)) {
  if (const std::string reason = why_no_cuda(); !reason.empty()) {
    return state.SkipWithError(reason.c_str());
  }
  replay(state, make(state.range(0)));
}

void tokens(benchmark::internal::Benchmark* b) {
  b->ArgName("tokens")->UseRealTime()->MinTime(0.02);
  for (const int64_t m : {1, 8, 40, 512}) b->Arg(m);
}

BENCHMARK_CAPTURE(matrices, one_chain, Product::kForward, true, 0)
    ->Name("kernels/linear")
    ->Apply(all_shapes);
BENCHMARK_CAPTURE(matrices, eight_slices, Product::kForward, true, 8)
    ->Name("kernels/linear/eight_slices")
    ->Apply(sliced_shapes);
BENCHMARK_CAPTURE(matrices, libtorch, Product::kForward, false, 0)
    ->Name("kernels/linear/libtorch")
    ->Apply(all_shapes);
BENCHMARK_CAPTURE(matrices, dgrad, Product::kDgrad, true, 0)
    ->Name("kernels/linear_dgrad")
    ->Apply(trained_shapes);
BENCHMARK_CAPTURE(matrices, dgrad_libtorch, Product::kDgrad, false, 0)
    ->Name("kernels/linear_dgrad/libtorch")
    ->Apply(trained_shapes);
BENCHMARK_CAPTURE(matrices, wgrad, Product::kWgrad, true, 0)
    ->Name("kernels/linear_wgrad")
    ->Apply(trained_shapes);
BENCHMARK_CAPTURE(matrices, wgrad_libtorch, Product::kWgrad, false, 0)
    ->Name("kernels/linear_wgrad/libtorch")
    ->Apply(trained_shapes);
BENCHMARK_CAPTURE(decode_attention, ours, true)->Name("kernels/paged_attention")->Apply(contexts);
BENCHMARK_CAPTURE(decode_attention, libtorch, false)
    ->Name("kernels/paged_attention/libtorch_contiguous")
    ->Apply(contexts);
BENCHMARK_CAPTURE(prefill_attention, forward, true, false)
    ->Name("kernels/flash_attention")
    ->Apply(prefills);
BENCHMARK_CAPTURE(prefill_attention, forward_libtorch, false, false)
    ->Name("kernels/flash_attention/libtorch")
    ->Apply(prefills);
BENCHMARK_CAPTURE(prefill_attention, backward, true, true)
    ->Name("kernels/flash_attention_backward")
    ->Apply(prefills);
BENCHMARK_CAPTURE(prefill_attention, backward_libtorch, false, true)
    ->Name("kernels/flash_attention_backward/libtorch")
    ->Apply(prefills);
BENCHMARK_CAPTURE(kernel, norm, norm)->Name("kernels/rms_norm")->Apply(tokens);
BENCHMARK_CAPTURE(kernel, residual_norm, residual_norm)
    ->Name("kernels/residual_rms_norm")
    ->Apply(tokens);
BENCHMARK_CAPTURE(kernel, norm_rope, norm_rope)->Name("kernels/rms_norm_rope")->Apply(tokens);
BENCHMARK_CAPTURE(kernel, silu, silu)->Name("kernels/silu_mul")->Apply(tokens);
BENCHMARK_CAPTURE(kernel, write, write)->Name("kernels/write_kv")->Apply(tokens);
BENCHMARK_CAPTURE(kernel, draw, draw)->Name("kernels/sample")->Apply(tokens);
BENCHMARK_CAPTURE(kernel, log_softmax, log_softmax)
    ->Name("kernels/log_softmax_gather")
    ->Apply(tokens);

}  // namespace
}  // namespace samebits
