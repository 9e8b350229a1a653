#include "harness/kernels/sample.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "harness/bits/philox.h"
#include "harness/dispatch/launch.h"
#include "harness/kernels/cpu/tensors.h"

namespace samebits {
namespace {

struct Draw {
  uint64_t seed;
  float temperature;
  int64_t top_k;
  float top_p;
};

// The first id with the largest value among `kept` (ascending); a NaN never wins.
int64_t argmax(const std::vector<float>& values, const std::vector<int64_t>& kept) {
  int64_t best = -1;
  for (const int64_t id : kept) {
    if (best < 0 ? values[id] == values[id] : values[id] > values[best]) best = id;
  }
  return std::max<int64_t>(best, 0);
}

std::vector<int64_t> all_ids(int64_t vocab) {
  std::vector<int64_t> ids(static_cast<size_t>(vocab));
  std::iota(ids.begin(), ids.end(), int64_t{0});
  return ids;
}

// The ids that pass the filters, ascending.
std::vector<int64_t> filter(const SampleKernels& sampler, const std::vector<float>& z,
                            const Draw& draw) {
  const int64_t vocab = static_cast<int64_t>(z.size());
  std::vector<int64_t> heap = all_ids(vocab);
  const bool has_top_p = draw.top_p < 1.0f;
  if (draw.top_k == 0 && !has_top_p) return heap;
  std::vector<float> probability;
  if (has_top_p) {
    probability.resize(z.size());
    sampler.softmax(z.data(), probability.data(), vocab);
  }
  // "Comes later": smaller z, or NaN, or equal with a higher id.
  const auto later = [&](int64_t a, int64_t b) {
    const bool a_nan = z[a] != z[a];
    const bool b_nan = z[b] != z[b];
    if (a_nan != b_nan) return a_nan;
    return a_nan || z[a] == z[b] ? a > b : z[a] < z[b];
  };
  std::make_heap(heap.begin(), heap.end(), later);
  std::vector<int64_t> kept;
  float cumulative = 0.0f;
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    const int64_t id = heap.back();
    heap.pop_back();
    kept.push_back(id);
    if (static_cast<int64_t>(kept.size()) == draw.top_k) break;
    if (has_top_p) {
      cumulative = cumulative + probability[id];
      if (cumulative >= draw.top_p) break;
    }
  }
  std::sort(kept.begin(), kept.end());
  return kept;
}

// Words 0 ... vocab - 1 of the row's stream.
std::vector<uint32_t> random_words(int64_t vocab, uint64_t seed, int64_t sequence,
                                   int64_t position) {
  std::vector<uint32_t> words(static_cast<size_t>((vocab + 3) / 4 * 4));
  const std::array<uint32_t, 2> key = {static_cast<uint32_t>(seed),
                                       static_cast<uint32_t>(seed >> 32)};
  for (size_t i = 0; i < words.size(); i += 4) {
    const auto four = philox4x32_10({static_cast<uint32_t>(i / 4), static_cast<uint32_t>(position),
                                     static_cast<uint32_t>(sequence), kSampleDomain},
                                    key);
    std::copy(four.begin(), four.end(), words.begin() + static_cast<int64_t>(i));
  }
  return words;
}

template <typename T>
int64_t choose(const RowKernels<T>& kernels, const SampleKernels& sampler, const T* x,
               int64_t vocab, const int64_t* key, const Draw& draw) {
  std::vector<float> z(static_cast<size_t>(vocab));
  const bool greedy = draw.temperature == 0.0f;
  kernels.scale_logits(x, greedy ? 1.0f : draw.temperature, z.data(), vocab);
  if (greedy) return argmax(z, all_ids(vocab));
  const std::vector<uint32_t> words = random_words(vocab, draw.seed, key[0], key[1]);
  std::vector<float> scores(z.size());
  sampler.gumbel_scores(z.data(), words.data(), scores.data(), vocab);
  return argmax(scores, filter(sampler, z, draw));
}

void check_keys(const int64_t* keys, int64_t rows) {
  for (int64_t i = 0; i < 2 * rows; ++i) {
    const int64_t key = keys[i];
    TORCH_CHECK(key >= 0 && key <= 0xffffffffLL, "sample: row ", i / 2, " has ",
                i % 2 == 0 ? "sequence " : "position ", key, ", expected one in [0, 2^32)");
  }
}

std::tuple<at::Tensor, at::Tensor> sample(const at::Tensor& logits_in, const at::Tensor& keys_in,
                                          int64_t vocab, int64_t seed, double temperature,
                                          int64_t top_k, double top_p) {
  TORCH_CHECK(logits_in.dim() == 2, "sample: logits has shape ", logits_in.sizes(),
              ", expected [S, V]");
  const int64_t rows = logits_in.size(0);
  const int64_t width = logits_in.size(1);
  TORCH_CHECK(vocab >= 1 && vocab <= width, "sample: found vocab ", vocab, ", expected 1 to the ",
              width, " columns of logits");
  check_sizes("sample", "keys", keys_in, {rows, 2});
  check_dtype("sample", "keys", keys_in, at::kLong);
  TORCH_CHECK(temperature >= 0, "sample: found temperature ", temperature, ", expected 0 or more");
  TORCH_CHECK(top_k >= 0, "sample: found top_k ", top_k, ", expected 0 (off) or more");
  TORCH_CHECK(top_p > 0 && top_p <= 1, "sample: found top_p ", top_p,
              ", expected more than 0 and at most 1 (off)");
  const at::Tensor logits = logits_in.contiguous();
  const at::Tensor keys = keys_in.contiguous();
  const Draw draw{static_cast<uint64_t>(seed), static_cast<float>(temperature), top_k,
                  static_cast<float>(top_p)};
  at::Tensor token = at::empty({rows}, logits.options().dtype(at::kLong));
  at::Tensor logprob = at::empty({rows}, logits.options().dtype(at::kFloat));
  with_element("sample", logits, [&](auto element) {
    using T = decltype(element);
    launch("sample",
           [kernels = &row_kernels<T>(), sampler = &sample_kernels(), logits = elements<T>(logits),
            keys = elements<int64_t>(keys), token = mutable_elements<int64_t>(token),
            logprob = mutable_elements<float>(logprob), rows, width, vocab, draw] {
             check_keys(keys, rows);
             at::parallel_for(0, rows, /*grain_size=*/1, [&](int64_t begin, int64_t end) {
               for (int64_t row = begin; row < end; ++row) {
                 const T* x = logits + row * width;
                 const int64_t id = choose(*kernels, *sampler, x, vocab, keys + row * 2, draw);
                 token[row] = id;
                 logprob[row] = canonical_nan_f32(to_float(x[id]) - kernels->log_sum_exp(x, vocab));
               }
             });
           });
  });
  return {token, logprob};
}

TORCH_LIBRARY_IMPL(samebits, CPU, m) { m.impl("sample", sample); }

}  // namespace
}  // namespace samebits
