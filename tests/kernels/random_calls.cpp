#include "tests/kernels/random_calls.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>

#include "harness/kernels/functional.h"

namespace samebits::testing {
namespace {

using Tensors = std::vector<at::Tensor>;

// ---- matrices ----------------------------------------------------------------------------------
struct Matrices {
  explicit Matrices(Draw& d)
      : m(d.size(40, 600)),
        n(d.size(120, 800)),
        k(d.size(300, 800)),
        slice(d.one_of<int64_t>({0, 0, 8, 24, 128, d.between(1, k)})),
        dtype(d.dtype()) {
    if (!d.is_large() || d.coin()) return;
    // What cuBLASLt may serve on a card (cuda/certified_gemm.h).
    m = 64 * d.between(6, 24);
    n = 64 * d.between(6, 24);
    k = 64 * d.between(6, 24);
    slice = 0;
  }
  int64_t m, n, k, slice;
  at::ScalarType dtype;
};

RandomCall linear(Draw& d) {
  const Matrices size(d);
  const at::ScalarType out = d.dtype();
  return {{d.values({size.m, size.k}, size.dtype), d.values({size.n, size.k}, size.dtype)},
          [=](const Tensors& x) { return Tensors{ops::linear(x[0], x[1], size.slice, 0, out)}; }};
}

RandomCall linear_dgrad(Draw& d) {
  const Matrices size(d);
  return {{d.values({size.m, size.n}, size.dtype), d.values({size.n, size.k}, size.dtype)},
          [=](const Tensors& x) { return Tensors{ops::linear_dgrad(x[0], x[1], size.slice)}; }};
}

RandomCall linear_wgrad(Draw& d) {
  const Matrices size(d);
  return {{d.values({size.m, size.n}, size.dtype), d.values({size.m, size.k}, size.dtype)},
          [](const Tensors& x) { return Tensors{ops::linear_wgrad(x[0], x[1])}; }};
}

// ---- rows --------------------------------------------------------------------------------------
// `count` tensors [rows, dim] and one [dim].
Tensors rows(Draw& d, int count) {
  const int64_t rows = d.size(40, 600);
  const int64_t dim = d.size(300, 3000);
  const at::ScalarType dtype = d.dtype();
  Tensors found;
  for (int i = 0; i < count; ++i) found.push_back(d.values({rows, dim}, dtype));
  found.push_back(d.values({dim}, dtype));
  return found;
}

double epsilon(Draw& d) { return d.one_of<double>({1e-6, 1e-5, 0.5}); }

RandomCall rms_norm(Draw& d) {
  return {rows(d, 1), [eps = epsilon(d), fused = d.coin()](const Tensors& x) {
            return Tensors{ops::rms_norm(x[0], x[1], eps, fused)};
          }};
}

RandomCall rms_norm_dgrad(Draw& d) {
  return {rows(d, 2), [eps = epsilon(d)](const Tensors& x) {
            return Tensors{ops::rms_norm_dgrad(x[0], x[1], x[2], eps)};
          }};
}

RandomCall rms_norm_wgrad(Draw& d) {
  return {rows(d, 2), [eps = epsilon(d)](const Tensors& x) {
            return Tensors{ops::rms_norm_wgrad(x[0], x[1], eps)};
          }};
}

RandomCall residual_rms_norm(Draw& d) {
  return {rows(d, 2), [eps = epsilon(d)](const Tensors& x) {
            return list(ops::residual_rms_norm(x[0], x[1], x[2], eps));
          }};
}

RandomCall residual_add(Draw& d) {
  return {rows(d, 2), [](const Tensors& x) { return Tensors{ops::residual_add(x[0], x[1])}; }};
}

RandomCall silu_mul(Draw& d) {
  return {rows(d, 2), [fused = d.coin()](const Tensors& x) {
            return Tensors{ops::silu_mul(x[0], x[1], fused)};
          }};
}

RandomCall silu_mul_backward(Draw& d) {
  return {rows(d, 3),
          [](const Tensors& x) { return list(ops::silu_mul_backward(x[0], x[1], x[2])); }};
}

// ---- products and their neighbours -------------------------------------------------------------
// Half of the shapes are those that a card's kernels of few rows take, the others any.
struct FusedSizes {
  explicit FusedSizes(Draw& d)
      : rows(d.size(20, 70)),
        dim(d.coin() ? 64 * d.between(1, d.is_large() ? 40 : 4) : d.size(300, 2000)),
        dtype(d.coin() ? at::kBFloat16 : d.dtype()),
        out(d.between(0, 3) == 0 ? d.dtype() : dtype) {}
  int64_t width(Draw& d) const { return d.coin() ? 8 * d.between(1, 60) : d.size(100, 3000); }
  // x, the norm's weight.
  Tensors inputs(Draw& d) const { return {d.values({rows, dim}, dtype), d.values({dim}, dtype)}; }
  int64_t rows, dim;
  at::ScalarType dtype, out;
};

RandomCall linear_residual_add(Draw& d) {
  const FusedSizes size(d);
  const int64_t width = size.width(d);
  const auto slice = d.one_of<int64_t>({0, size.dim / 8, size.dim / 8, d.between(1, size.dim)});
  return {{d.values({size.rows, size.dim}, size.dtype), d.values({width, size.dim}, size.dtype),
           d.values({size.rows, width}, size.out)},
          [=](const Tensors& x) {
            return list(ops::linear_residual_add(x[0], x[1], slice, size.out, x[2]));
          }};
}

RandomCall rms_norm_linear_qkv(Draw& d) {
  const FusedSizes size(d);
  Tensors inputs = size.inputs(d);
  for (int i = 0; i < 3; ++i) inputs.push_back(d.values({size.width(d), size.dim}, size.dtype));
  return {inputs, [eps = epsilon(d), out = size.out](const Tensors& x) {
            return list(ops::rms_norm_linear_qkv(x[0], x[1], eps, x[2], x[3], x[4], out));
          }};
}

RandomCall rms_norm_linear_silu_mul(Draw& d) {
  const FusedSizes size(d);
  Tensors inputs = size.inputs(d);
  const int64_t width = size.width(d);
  for (int i = 0; i < 2; ++i) inputs.push_back(d.values({width, size.dim}, size.dtype));
  return {inputs, [eps = epsilon(d), out = size.out](const Tensors& x) {
            return list(ops::rms_norm_linear_silu_mul(x[0], x[1], eps, x[2], x[3], out));
          }};
}

// ---- heads -------------------------------------------------------------------------------------
struct Heads {
  explicit Heads(Draw& d)
      : tokens(d.size(20, 200)),
        heads(d.between(1, 6)),
        dim(2 * d.between(1, 64)),
        table(d.size(40, 300)),
        dtype(d.dtype()) {}

  at::Tensor values(Draw& d) const { return d.values({1, tokens, heads, dim}, dtype); }
  // cos, sin, positions.
  Tensors rotation(Draw& d) const {
    return {d.values({table, dim / 2}, at::kFloat), d.values({table, dim / 2}, at::kFloat),
            d.integers({1, tokens}, 0, table - 1)};
  }

  int64_t tokens, heads, dim, table;
  at::ScalarType dtype;
};

RandomCall rope(Draw& d) {
  const Heads size(d);
  Tensors inputs{size.values(d)};
  for (const at::Tensor& each : size.rotation(d)) inputs.push_back(each);
  return {inputs, [inverse = d.coin()](const Tensors& x) {
            return Tensors{ops::rope(x[0], x[1], x[2], x[3], inverse)};
          }};
}

RandomCall rms_norm_rope(Draw& d) {
  const Heads size(d);
  Tensors inputs{size.values(d), d.values({size.dim}, size.dtype)};
  for (const at::Tensor& each : size.rotation(d)) inputs.push_back(each);
  return {inputs, [eps = epsilon(d)](const Tensors& x) {
            return list(ops::rms_norm_rope(x[0], x[1], eps, x[2], x[3], x[4]));
          }};
}

// k_cache, v_cache, and a slot for each token: none twice, some -1.
Tensors caches(Draw& d, const Heads& size) {
  const int64_t page = d.one_of<int64_t>({1, 4, 16});
  const int64_t pages = size.tokens / page + d.between(1, 4);
  const std::vector<int64_t> sizes{pages, page, size.heads, size.dim};
  const at::Tensor slots = d.permutation(pages * page).narrow(0, 0, size.tokens);
  const at::Tensor is_padding = d.integers({size.tokens}, 0, 7) == 0;
  return {d.values(sizes, size.dtype), d.values(sizes, size.dtype),
          slots.masked_fill(is_padding, -1)};
}

RandomCall write_kv(Draw& d) {
  const Heads size(d);
  Tensors inputs = caches(d, size);
  inputs.push_back(size.values(d));
  inputs.push_back(size.values(d));
  return {inputs, [](const Tensors& x) {
            ops::write_kv(x[0], x[1], x[3], x[4], x[2]);
            return Tensors{x[0], x[1]};
          }};
}

RandomCall rms_norm_rope_write_kv_(Draw& d) {
  const Heads size(d);
  Tensors inputs = caches(d, size);
  for (const at::Tensor& each : size.rotation(d)) inputs.push_back(each);
  inputs.push_back(size.values(d));
  inputs.push_back(size.values(d));
  inputs.push_back(d.values({size.dim}, size.dtype));
  return {inputs, [eps = epsilon(d)](const Tensors& x) {
            Tensors results = list(ops::rms_norm_rope_write_kv_(x[6], x[8], eps, x[3], x[4], x[5],
                                                                x[0], x[1], x[7], x[2]));
            results.push_back(x[0]);
            results.push_back(x[1]);
            return results;
          }};
}

RandomCall rms_norm_rope_qk_write_kv_(Draw& d) {
  Heads size(d);
  if (d.coin()) size.dim = d.one_of<int64_t>({64, 128});
  Tensors inputs = caches(d, size);
  for (const at::Tensor& each : size.rotation(d)) inputs.push_back(each);
  inputs.push_back(size.values(d));
  inputs.push_back(size.values(d));
  inputs.push_back(d.values({size.dim}, size.dtype));
  const int64_t q_heads = size.heads * d.between(1, 3);
  inputs.push_back(d.values({1, size.tokens, q_heads, size.dim}, size.dtype));
  inputs.push_back(d.values({size.dim}, size.dtype));
  return {inputs, [eps = epsilon(d)](const Tensors& x) {
            Tensors results = list(ops::rms_norm_rope_qk_write_kv_(
                x[9], x[10], x[6], x[8], eps, x[3], x[4], x[5], x[0], x[1], x[7], x[2]));
            results.push_back(x[0]);
            results.push_back(x[1]);
            return results;
          }};
}

// ---- attention ---------------------------------------------------------------------------------
struct AttentionSizes {
  explicit AttentionSizes(Draw& d)
      : kv_heads(d.between(1, 3)),
        heads(kv_heads * d.between(1, 4)),
        dim(d.one_of<int64_t>({1, 5, 16, 40, 64, 64, 128, 128, 200, 256})),
        scale(d.one_of<double>({0.1, 0.25, 1})),
        dtype(d.dtype()) {}
  int64_t kv_heads, heads, dim;
  double scale;
  at::ScalarType dtype;
};

// cu_seqlens of sequences that hold so many tokens each.
at::Tensor boundaries(const std::vector<int64_t>& lengths) {
  std::vector<int64_t> ends{0};
  for (const int64_t length : lengths) ends.push_back(ends.back() + length);
  return at::tensor(ends).to(at::kInt);
}

// q, k, v, cu_seqlens.
Tensors packed(Draw& d, const AttentionSizes& size) {
  std::vector<int64_t> lengths;
  int64_t tokens = 0;
  for (int64_t left = d.between(1, 4); left > 0; --left) {
    lengths.push_back(d.between(0, 7) == 0 ? 0 : d.size(70, 200));
    tokens += lengths.back();
  }
  return {d.values({1, tokens, size.heads, size.dim}, size.dtype),
          d.values({1, tokens, size.kv_heads, size.dim}, size.dtype),
          d.values({1, tokens, size.kv_heads, size.dim}, size.dtype), boundaries(lengths)};
}

RandomCall flash_attention(Draw& d) {
  const AttentionSizes size(d);
  return {packed(d, size), [scale = size.scale](const Tensors& x) {
            return list(ops::flash_attention(x[0], x[1], x[2], x[3], scale));
          }};
}

RandomCall flash_attention_backward(Draw& d) {
  const AttentionSizes size(d);
  Tensors inputs = packed(d, size);
  inputs.push_back(d.values(inputs[0].sizes(), size.dtype));
  return {
      inputs, [scale = size.scale](const Tensors& x) {
        const auto [out, lse] = ops::flash_attention(x[0], x[1], x[2], x[3], scale);
        return list(ops::flash_attention_backward(x[4], x[0], x[1], x[2], out, lse, x[3], scale));
      }};
}

RandomCall paged_attention(Draw& d) {
  const AttentionSizes size(d);
  const bool is_decode = d.coin();
  const int64_t page = d.one_of<int64_t>({1, 8, 16});
  std::vector<int64_t> queries;
  std::vector<int64_t> keys;
  int64_t tokens = is_decode ? 0 : d.between(0, 3);  // rows of padding after the last sequence
  int64_t width = 1;
  for (int64_t left = d.between(1, 6); left > 0; --left) {
    queries.push_back(is_decode ? 1 : d.between(0, 20));
    keys.push_back(queries.back() + d.size(150, 1000) - 1);
    tokens += queries.back();
    width = std::max(width, (keys.back() + page - 1) / page);
  }
  const auto sequences = static_cast<int64_t>(queries.size());
  const std::vector<int64_t> cache{width * d.between(1, 3), page, size.kv_heads, size.dim};
  return {
      {d.values({1, tokens, size.heads, size.dim}, size.dtype), d.values(cache, size.dtype),
       d.values(cache, size.dtype), d.integers({sequences, width}, 0, cache[0] - 1).to(at::kInt),
       boundaries(queries), at::tensor(keys).to(at::kInt)},
      [scale = size.scale](const Tensors& x) {
        return Tensors{ops::paged_attention(x[0], x[1], x[2], x[3], x[4], x[5], scale)};
      }};
}

// Attention that reads what the same call writes: slots are anywhere in the cache.
RandomCall rms_norm_rope_paged_attention_(Draw& d) {
  AttentionSizes size(d);
  size.dim = d.coin() ? d.one_of<int64_t>({64, 128}) : 2 * d.between(1, 64);
  const bool is_decode = d.between(0, 3) != 0;
  const int64_t page = d.one_of<int64_t>({1, 8, 16});
  std::vector<int64_t> queries;
  std::vector<int64_t> keys;
  int64_t tokens = 0;
  int64_t width = 1;
  for (int64_t left = d.between(1, 6); left > 0; --left) {
    queries.push_back(is_decode ? 1 : d.between(0, 5));
    keys.push_back(queries.back() + d.size(150, 600) - 1);
    tokens += queries.back();
    width = std::max(width, (keys.back() + page - 1) / page);
  }
  const auto sequences = static_cast<int64_t>(queries.size());
  const int64_t pages = std::max(width * d.between(1, 3), tokens);
  const int64_t table = d.size(40, 300);
  // None twice, which a card may write in any order; some nowhere.
  const at::Tensor slots = d.permutation(pages * page).narrow(0, 0, tokens);
  const at::Tensor is_padding = d.integers({tokens}, 0, 7) == 0;
  const auto heads = [&](int64_t count) {
    return d.values({1, tokens, count, size.dim}, size.dtype);
  };
  const std::vector<int64_t> cache{pages, page, size.kv_heads, size.dim};
  return {
      {heads(size.heads), d.values({size.dim}, size.dtype), heads(size.kv_heads),
       d.values({size.dim}, size.dtype), d.values({table, size.dim / 2}, at::kFloat),
       d.values({table, size.dim / 2}, at::kFloat), d.integers({1, tokens}, 0, table - 1),
       d.values(cache, size.dtype), d.values(cache, size.dtype), heads(size.kv_heads),
       slots.masked_fill(is_padding, -1), d.integers({sequences, width}, 0, pages - 1).to(at::kInt),
       boundaries(queries), at::tensor(keys).to(at::kInt)},
      [eps = epsilon(d), scale = size.scale](const Tensors& x) {
        Tensors results = list(
            ops::rms_norm_rope_paged_attention_(x[0], x[1], x[2], x[3], eps, x[4], x[5], x[6], x[7],
                                                x[8], x[9], x[10], x[11], x[12], x[13], scale));
        results.push_back(x[7]);
        results.push_back(x[8]);
        return results;
      }};
}

// ---- the vocabulary ----------------------------------------------------------------------------
struct Table {
  explicit Table(Draw& d)
      : rows(d.size(60, 1000)), dim(d.size(80, 1000)), first_row(d.between(0, 5)) {}
  // Some of rows that the table does not have.
  at::Tensor ids(Draw& d) const {
    return d.integers({1, d.size(40, 400)}, first_row - 2, first_row + rows + 2);
  }
  int64_t rows, dim, first_row;
};

RandomCall embedding(Draw& d) {
  const Table size(d);
  return {{size.ids(d), d.values({size.rows, size.dim}, d.dtype())},
          [first_row = size.first_row](const Tensors& x) {
            return Tensors{ops::embedding(x[0], x[1], first_row)};
          }};
}

RandomCall embedding_wgrad(Draw& d) {
  const Table size(d);
  const at::ScalarType dtype = d.dtype();
  const at::Tensor ids = size.ids(d);
  return {
      {d.values({1, ids.size(1), size.dim}, dtype), ids, d.values({size.rows, size.dim}, dtype)},
      [first_row = size.first_row](const Tensors& x) {
        return Tensors{ops::embedding_wgrad(x[0], x[1], x[2], first_row)};
      }};
}

// Logits of which the last columns may be padding.
struct Logits {
  explicit Logits(Draw& d)
      : rows(d.size(8, 20)),
        width(d.size(900, 30000)),
        vocab(d.between(std::max<int64_t>(1, width - 7), width)) {}
  at::Tensor values(Draw& d) const { return d.values({rows, width}, d.dtype()); }
  at::Tensor targets(Draw& d) const { return d.integers({rows}, 0, vocab - 1); }
  int64_t rows, width, vocab;
};

RandomCall log_softmax_gather(Draw& d) {
  const Logits size(d);
  return {{size.values(d), size.targets(d)}, [vocab = size.vocab](const Tensors& x) {
            return list(ops::log_softmax_gather(x[0], x[1], vocab));
          }};
}

RandomCall log_softmax_gather_backward(Draw& d) {
  const Logits size(d);
  return {{d.values({size.rows}, at::kFloat), size.values(d), size.targets(d),
           d.values({size.rows}, at::kFloat)},
          [vocab = size.vocab](const Tensors& x) {
            return Tensors{ops::log_softmax_gather_backward(x[0], x[1], x[2], x[3], vocab)};
          }};
}

RandomCall sample(Draw& d) {
  const Logits size(d);
  const int64_t seed = d.between(0, int64_t{1} << 40);
  const auto temperature = d.one_of<double>({0, 0.3, 1, 1, 1.7});
  const auto top_k = d.one_of<int64_t>({0, 0, 1, 40, size.width + 1});
  const auto top_p = d.one_of<double>({1, 1, 0.9, 0.5, 0.01});
  return {{size.values(d), d.integers({size.rows, 2}, 0, (int64_t{1} << 32) - 1)},
          [=, vocab = size.vocab](const Tensors& x) {
            return list(ops::sample(x[0], x[1], vocab, seed, temperature, top_k, top_p));
          }};
}

// ---- the loss and the optimizer ----------------------------------------------------------------
// logprobs, reference, advantage, tokens.
Tensors sequence(Draw& d) {
  const int64_t n = d.between(0, 3) == 0 ? d.between(0, 1) : d.size(60, 2000);
  at::Tensor logprobs = d.values({n}, at::kFloat);
  // Equal ones, as on policy, have a ratio of exactly 1.
  const at::Tensor reference = d.coin() ? logprobs.clone() : d.values({n}, at::kFloat);
  return {logprobs, reference, d.values({}, at::kFloat),
          at::scalar_tensor(n + d.between(0, 100), at::kLong)};
}

struct LossSettings {
  explicit LossSettings(Draw& d)
      : sequences(d.between(1, 64)),
        clip(d.one_of<double>({0.2, 0.5})),
        entropy(d.one_of<double>({0, 0.01})),
        kl(d.one_of<double>({0, 0.1})) {}
  int64_t sequences;
  double clip, entropy, kl;
};

RandomCall grpo_loss(Draw& d) {
  return {
      sequence(d), [s = LossSettings(d)](const Tensors& x) {
        return list(ops::grpo_loss(x[0], x[1], x[2], x[3], s.sequences, s.clip, s.entropy, s.kl));
      }};
}

RandomCall grpo_loss_backward(Draw& d) {
  Tensors inputs = sequence(d);
  inputs.push_back(d.values({}, at::kFloat));
  return {inputs, [s = LossSettings(d)](const Tensors& x) {
            return Tensors{ops::grpo_loss_backward(x[4], x[0], x[1], x[2], x[3], s.sequences,
                                                   s.clip, s.entropy, s.kl)};
          }};
}

RandomCall sum_squares(Draw& d) {
  const std::vector<int64_t> sizes{d.size(30, 300), d.size(60, 500), d.between(1, 9)};
  const int64_t dim = d.between(0, 2);
  const auto slice = d.one_of<int64_t>({0, 1, 8, d.between(1, sizes[static_cast<size_t>(dim)])});
  return {{d.values(sizes, d.dtype())},
          [=](const Tensors& x) { return Tensors{ops::sum_squares(x[0], dim, slice)}; }};
}

RandomCall clip_scale(Draw& d) {
  Tensors squares;
  for (int64_t left = d.size(6, 300); left > 0; --left) {
    squares.push_back(d.values({}, at::kFloat));
    if (d.between(0, 3) != 0) squares.back().abs_();
  }
  return {squares, [norm = d.one_of<double>({0.01, 1, 1e6})](const Tensors& x) {
            return list(ops::clip_scale(x, norm));
          }};
}

RandomCall adamw_(Draw& d) {
  const int64_t n = d.size(700, 100000);
  const bool bf16_state = d.coin() && d.coin();  // moments beside a weight and a gradient in bf16
  const at::ScalarType dtype = bf16_state ? at::kBFloat16 : d.dtype();
  const at::ScalarType state = bf16_state ? at::kBFloat16 : at::kFloat;
  const bool has_master = !bf16_state && d.coin();
  const bool has_float_grad = !bf16_state && d.coin();
  const at::Tensor square = d.values({n}, state);
  const auto lr = d.one_of<double>({1e-6, 1e-3, 0.5});
  const auto decay = d.one_of<double>({0, 0.01});
  return {{d.values({n}, dtype), d.values({n}, at::kFloat), d.values({n}, state),
           d.coin() ? square.abs() : square, d.values({n}, has_float_grad ? at::kFloat : dtype),
           d.values({}, at::kFloat), at::scalar_tensor(d.between(1, 100000), at::kLong)},
          [=](const Tensors& x) {
            ops::adamw_(x[0], has_master ? std::optional(x[1]) : std::nullopt, x[2], x[3], x[4],
                        x[5], x[6], lr, 0.9, 0.999, 1e-8, decay);
            return Tensors{x[0], x[1], x[2], x[3]};
          }};
}

// ---- what is observed --------------------------------------------------------------------------
at::Tensor of_any_dtype(Draw& d, at::IntArrayRef sizes) {
  const at::Tensor x = d.values(sizes, d.dtype());
  const auto dtype = d.one_of<at::ScalarType>({x.scalar_type(), at::kBool, at::kInt, at::kLong});
  return dtype == x.scalar_type() ? x : d.integers(sizes, 0, 1 << 30).to(dtype);
}

RandomCall digest_sums(Draw& d) {
  const std::vector<int64_t> sizes{d.size(40, 600), d.between(0, 300)};
  return {{of_any_dtype(d, sizes)},
          [](const Tensors& x) { return Tensors{ops::digest_sums(x[0])}; }};
}

RandomCall digest_rows(Draw& d) {
  Tensors inputs;
  std::vector<int64_t> widths;
  std::vector<int64_t> rows;
  std::vector<int64_t> sizes;
  for (int64_t left = d.between(1, 12); left > 0; --left) {
    const int64_t most = d.size(40, 300);
    widths.push_back(d.size(60, 1000));
    rows.push_back(d.coin() ? -1 : static_cast<int64_t>(sizes.size()));
    if (rows.back() >= 0) sizes.push_back(d.between(0, most));
    inputs.push_back(of_any_dtype(d, {most, widths.back()}));
  }
  sizes.push_back(0);  // of no value
  inputs.push_back(at::tensor(sizes));
  return {inputs, [=](const Tensors& x) {
            const Tensors values(x.begin(), x.end() - 1);
            return Tensors{ops::digest_rows(values, widths, rows, x.back())};
          }};
}

}  // namespace

const std::vector<RandomOperator>& random_operators() {
  static const std::vector<RandomOperator> all = {
      {"adamw_", adamw_},
      {"clip_scale", clip_scale},
      {"digest_rows", digest_rows},
      {"digest_sums", digest_sums},
      {"embedding", embedding},
      {"embedding_wgrad", embedding_wgrad},
      {"flash_attention", flash_attention},
      {"flash_attention_backward", flash_attention_backward},
      {"grpo_loss", grpo_loss},
      {"grpo_loss_backward", grpo_loss_backward},
      {"linear", linear},
      {"linear_dgrad", linear_dgrad},
      {"linear_residual_add", linear_residual_add},
      {"linear_wgrad", linear_wgrad},
      {"log_softmax_gather", log_softmax_gather},
      {"log_softmax_gather_backward", log_softmax_gather_backward},
      {"paged_attention", paged_attention},
      {"residual_add", residual_add},
      {"residual_rms_norm", residual_rms_norm},
      {"rms_norm", rms_norm},
      {"rms_norm_dgrad", rms_norm_dgrad},
      {"rms_norm_linear_qkv", rms_norm_linear_qkv},
      {"rms_norm_linear_silu_mul", rms_norm_linear_silu_mul},
      {"rms_norm_rope", rms_norm_rope},
      {"rms_norm_rope_paged_attention_", rms_norm_rope_paged_attention_},
      {"rms_norm_rope_qk_write_kv_", rms_norm_rope_qk_write_kv_},
      {"rms_norm_rope_write_kv_", rms_norm_rope_write_kv_},
      {"rms_norm_wgrad", rms_norm_wgrad},
      {"rope", rope},
      {"sample", sample},
      {"silu_mul", silu_mul},
      {"silu_mul_backward", silu_mul_backward},
      {"sum_squares", sum_squares},
      {"write_kv", write_kv},
  };
  return all;
}

}  // namespace samebits::testing
