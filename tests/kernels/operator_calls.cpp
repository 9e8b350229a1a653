#include "tests/kernels/operator_calls.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>

#include "harness/dispatch/schema.h"
#include "harness/kernels/functional.h"

namespace samebits::testing {
namespace {

using Tensors = std::vector<at::Tensor>;
using Args = OperatorArgs;

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

Args linear(Draw& d) {
  const Matrices size(d);
  return {d.values({size.m, size.k}, size.dtype), d.values({size.n, size.k}, size.dtype),
          size.slice, /*dgrad_slice=*/0, d.dtype()};
}

Args linear_dgrad(Draw& d) {
  const Matrices size(d);
  return {d.values({size.m, size.n}, size.dtype), d.values({size.n, size.k}, size.dtype),
          size.slice};
}

// Tokens of sequences among so many: of some calls all, of others the last ones are padding.
int64_t without_padding(Draw& d, int64_t tokens) {
  return d.coin() ? tokens : d.between(0, tokens);
}

// Where sequences begin among so many tokens: up to seven of any lengths, some of them empty.
at::Tensor starts(Draw& d, int64_t most) {
  const int64_t tokens = without_padding(d, most);
  const at::Tensor cuts = std::get<0>(at::sort(d.integers({d.between(0, 6)}, 0, tokens)));
  return at::cat({at::zeros({1}, at::kLong), cuts, at::full({1}, tokens, at::kLong)}).to(at::kInt);
}

// So many groups of up to five sequences each.
at::Tensor starts_of_groups(Draw& d, int64_t most, int64_t groups) {
  const int64_t tokens = without_padding(d, most);
  const auto drawn = [&](int64_t count, int64_t low, int64_t high) {
    const at::Tensor sorted = std::get<0>(at::sort(d.integers({count}, low, high)));
    const auto* first = sorted.const_data_ptr<int64_t>();
    return std::vector<int64_t>(first, first + count);
  };
  std::vector<int64_t> edges = drawn(groups - 1, 0, tokens);
  edges.insert(edges.begin(), 0);
  edges.push_back(tokens);
  const int64_t inner = d.between(0, 4);
  std::vector<int64_t> starts;
  for (int64_t g = 0; g < groups; ++g) {
    starts.push_back(edges[g]);
    for (const int64_t cut : drawn(inner, edges[g], edges[g + 1])) starts.push_back(cut);
    starts.push_back(edges[g + 1]);
  }
  return at::tensor(starts).view({groups, inner + 2}).to(at::kInt);
}

// Sequences, or groups of them, or nothing: one sequence.
c10::IValue some_starts(Draw& d, int64_t tokens) {
  switch (d.between(0, 2)) {
    case 0:
      return {};
    case 1:
      return starts(d, tokens);
    default:
      return starts_of_groups(d, tokens, d.one_of<int64_t>({1, 2, 4, 8, 16}));
  }
}

Args linear_wgrad_(Draw& d) {
  const Matrices size(d);
  return {d.values({size.m, size.n}, size.dtype), d.values({size.m, size.k}, size.dtype),
          some_starts(d, size.m), d.values({size.n, size.k}, at::kFloat)};
}

// ---- rows --------------------------------------------------------------------------------------
struct Rows {
  explicit Rows(Draw& d) : rows(d.size(40, 600)), dim(d.size(300, 3000)), dtype(d.dtype()) {}
  at::Tensor values(Draw& d) const { return d.values({rows, dim}, dtype); }
  at::Tensor row(Draw& d) const { return d.values({dim}, dtype); }
  int64_t rows, dim;
  at::ScalarType dtype;
};

double epsilon(Draw& d) { return d.one_of<double>({1e-6, 1e-5, 0.5}); }

Args rms_norm(Draw& d) {
  const Rows size(d);
  return {size.values(d), size.row(d), epsilon(d), d.coin()};
}

Args rms_norm_dgrad(Draw& d) {
  const Rows size(d);
  return {size.values(d), size.values(d), size.row(d), epsilon(d)};
}

Args rms_norm_wgrad_(Draw& d) {
  const int64_t tokens = d.size(40, 600);
  const std::vector<int64_t> sizes{1, tokens, d.between(1, 3), d.size(100, 1000)};
  const at::ScalarType dtype = d.dtype();
  return {d.values(sizes, dtype), d.values(sizes, dtype), epsilon(d), some_starts(d, tokens),
          d.values({sizes.back()}, at::kFloat)};
}

Args residual_rms_norm(Draw& d) {
  const Rows size(d);
  return {size.values(d), size.values(d), size.row(d), epsilon(d)};
}

Args residual_add(Draw& d) {
  const Rows size(d);
  return {size.values(d), size.values(d)};
}

Args silu_mul(Draw& d) {
  const Rows size(d);
  return {size.values(d), size.values(d), d.coin()};
}

Args silu_mul_backward(Draw& d) {
  const Rows size(d);
  return {size.values(d), size.values(d), size.values(d)};
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
  at::Tensor values(Draw& d) const { return d.values({rows, dim}, dtype); }
  at::Tensor weight(Draw& d, int64_t out_dim) const { return d.values({out_dim, dim}, dtype); }
  int64_t rows, dim;
  at::ScalarType dtype, out;
};

Args linear_residual_add(Draw& d) {
  const FusedSizes size(d);
  const int64_t width = size.width(d);
  const auto slice = d.one_of<int64_t>({0, size.dim / 8, size.dim / 8, d.between(1, size.dim)});
  return {size.values(d), size.weight(d, width), slice, size.out,
          d.values({size.rows, width}, size.out)};
}

Args rms_norm_linear_qkv(Draw& d) {
  const FusedSizes size(d);
  Args args{size.values(d), d.values({size.dim}, size.dtype), epsilon(d)};
  for (int i = 0; i < 3; ++i) args.emplace_back(size.weight(d, size.width(d)));
  args.emplace_back(size.out);
  return args;
}

Args rms_norm_linear_silu_mul(Draw& d) {
  const FusedSizes size(d);
  const int64_t width = size.width(d);
  return {size.values(d),
          d.values({size.dim}, size.dtype),
          epsilon(d),
          size.weight(d, width),
          size.weight(d, width),
          size.out};
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
  at::Tensor norm(Draw& d) const { return d.values({dim}, dtype); }

  int64_t tokens, heads, dim, table;
  at::ScalarType dtype;
};

struct Rotation {
  Rotation(Draw& d, const Heads& size)
      : cos(d.values({size.table, size.dim / 2}, at::kFloat)),
        sin(d.values({size.table, size.dim / 2}, at::kFloat)),
        positions(d.integers({1, size.tokens}, 0, size.table - 1)) {}
  at::Tensor cos, sin, positions;
};

Args rope(Draw& d) {
  const Heads size(d);
  const Rotation by(d, size);
  return {size.values(d), by.cos, by.sin, by.positions, d.coin()};
}

Args rms_norm_rope(Draw& d) {
  const Heads size(d);
  const Rotation by(d, size);
  return {size.values(d), size.norm(d), epsilon(d), by.cos, by.sin, by.positions};
}

// A slot for each token: none twice, some -1.
struct Caches {
  Caches(Draw& d, const Heads& size) {
    const int64_t page = d.one_of<int64_t>({1, 4, 16});
    const int64_t pages = size.tokens / page + d.between(1, 4);
    const std::vector<int64_t> sizes{pages, page, size.heads, size.dim};
    k = d.values(sizes, size.dtype);
    v = d.values(sizes, size.dtype);
    slots = d.permutation(pages * page).narrow(0, 0, size.tokens);
    slots = slots.masked_fill(d.integers({size.tokens}, 0, 7) == 0, -1);
  }
  at::Tensor k, v, slots;
};

Args write_kv(Draw& d) {
  const Heads size(d);
  const Caches caches(d, size);
  return {caches.k, caches.v, size.values(d), size.values(d), caches.slots};
}

Args rms_norm_rope_write_kv_(Draw& d) {
  const Heads size(d);
  const Caches caches(d, size);
  const Rotation by(d, size);
  return {size.values(d), size.norm(d), epsilon(d), by.cos,         by.sin,
          by.positions,   caches.k,     caches.v,   size.values(d), caches.slots};
}

Args rms_norm_rope_qk_write_kv_(Draw& d) {
  Heads size(d);
  if (d.coin()) size.dim = d.one_of<int64_t>({64, 128});
  const Caches caches(d, size);
  const Rotation by(d, size);
  const int64_t q_heads = size.heads * d.between(1, 3);
  const at::Tensor q = d.values({1, size.tokens, q_heads, size.dim}, size.dtype);
  return {q,      size.norm(d), size.values(d), size.norm(d), epsilon(d),     by.cos,
          by.sin, by.positions, caches.k,       caches.v,     size.values(d), caches.slots};
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

// Sequences one after the other, some of them empty, and padding perhaps.
struct Packed {
  Packed(Draw& d, const AttentionSizes& size) {
    std::vector<int64_t> lengths;
    int64_t tokens = 0;
    for (int64_t left = d.between(1, 4); left > 0; --left) {
      lengths.push_back(d.between(0, 7) == 0 ? 0 : d.size(70, 200));
      tokens += lengths.back();
    }
    if (d.coin()) tokens += d.between(0, 20);  // padding
    q = d.values({1, tokens, size.heads, size.dim}, size.dtype);
    k = d.values({1, tokens, size.kv_heads, size.dim}, size.dtype);
    v = d.values({1, tokens, size.kv_heads, size.dim}, size.dtype);
    cu_seqlens = boundaries(lengths);
  }
  at::Tensor q, k, v, cu_seqlens;
};

Args flash_attention(Draw& d) {
  const AttentionSizes size(d);
  const Packed x(d, size);
  return {x.q, x.k, x.v, x.cu_seqlens, size.scale};
}

Args flash_attention_backward(Draw& d) {
  const AttentionSizes size(d);
  const Packed x(d, size);
  const auto [out, lse] = ops::flash_attention(x.q, x.k, x.v, x.cu_seqlens, size.scale);
  return {d.values(x.q.sizes(), size.dtype), x.q, x.k, x.v, out, lse, x.cu_seqlens, size.scale};
}

Args paged_attention(Draw& d) {
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
  const at::Tensor block_table = d.integers({sequences, width}, 0, cache[0] - 1).to(at::kInt);
  return {d.values({1, tokens, size.heads, size.dim}, size.dtype),
          d.values(cache, size.dtype),
          d.values(cache, size.dtype),
          block_table,
          boundaries(queries),
          at::tensor(keys).to(at::kInt),
          size.scale};
}

// Attention that reads what the same call writes: slots are anywhere in the cache.
Args rms_norm_rope_paged_attention_(Draw& d) {
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
  const auto angles = [&] { return d.values({table, size.dim / 2}, at::kFloat); };
  const auto norm = [&] { return d.values({size.dim}, size.dtype); };
  return {heads(size.heads),
          norm(),
          heads(size.kv_heads),
          norm(),
          epsilon(d),
          angles(),
          angles(),
          d.integers({1, tokens}, 0, table - 1),
          d.values(cache, size.dtype),
          d.values(cache, size.dtype),
          heads(size.kv_heads),
          slots.masked_fill(is_padding, -1),
          d.integers({sequences, width}, 0, pages - 1).to(at::kInt),
          boundaries(queries),
          at::tensor(keys).to(at::kInt),
          size.scale};
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

Args embedding(Draw& d) {
  const Table size(d);
  return {size.ids(d), d.values({size.rows, size.dim}, d.dtype()), size.first_row};
}

Args embedding_wgrad_(Draw& d) {
  const Table size(d);
  const at::ScalarType dtype = d.dtype();
  const at::Tensor ids = size.ids(d);
  return {d.values({1, ids.size(1), size.dim}, dtype), ids, size.first_row,
          some_starts(d, ids.size(1)), d.values({size.rows, size.dim}, at::kFloat)};
}

Args tied_wgrad_(Draw& d) {
  const Table size(d);
  const at::ScalarType dtype = d.dtype();
  const at::Tensor ids = size.ids(d);
  const int64_t rows = d.size(40, 400);  // of logits
  const int64_t groups = d.one_of<int64_t>({1, 2, 4, 8, 16});
  return {d.values({1, ids.size(1), size.dim}, dtype),
          ids,
          size.first_row,
          starts_of_groups(d, ids.size(1), groups),
          d.values({1, rows, size.rows}, dtype),
          d.values({1, rows, size.dim}, dtype),
          starts_of_groups(d, rows, groups),
          d.values({size.rows, size.dim}, at::kFloat),
          d.values({size.rows, size.dim}, at::kFloat)};
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

Args log_softmax_gather(Draw& d) {
  const Logits size(d);
  return {size.values(d), size.targets(d), size.vocab};
}

Args log_softmax_gather_backward(Draw& d) {
  const Logits size(d);
  return {d.values({size.rows}, at::kFloat), size.values(d), size.targets(d),
          d.values({size.rows}, at::kFloat), size.vocab};
}

Args sample(Draw& d) {
  const Logits size(d);
  const auto seed = d.between(0, int64_t{1} << 40);
  const auto temperature = d.one_of<double>({0, 0.3, 1, 1, 1.7});
  const auto top_k = d.one_of<int64_t>({0, 0, 1, 40, size.width + 1});
  const auto top_p = d.one_of<double>({1, 1, 0.9, 0.5, 0.01});
  const at::Tensor keys = d.integers({size.rows, 2}, 0, (int64_t{1} << 32) - 1);
  return {size.values(d), keys, size.vocab, seed, temperature, top_k, top_p};
}

// ---- the loss and the optimizer ----------------------------------------------------------------
// Sequences one after the other.
struct Sequence {
  explicit Sequence(Draw& d) {
    const int64_t n = d.between(0, 3) == 0 ? d.between(0, 1) : d.size(60, 2000);
    logprobs = d.values({n}, at::kFloat);
    // Equal ones, as on policy, have a ratio of exactly 1.
    reference = d.coin() ? logprobs.clone() : d.values({n}, at::kFloat);
    firsts = starts(d, n);
    advantage = d.values({firsts.size(0) - 1}, at::kFloat);
    tokens = at::scalar_tensor(n + d.between(0, 100), at::kLong);
  }
  at::Tensor logprobs, reference, firsts, advantage, tokens;
};

struct LossSettings {
  explicit LossSettings(Draw& d)
      : sequences(d.between(1, 64)),
        clip(d.one_of<double>({0.2, 0.5})),
        entropy(d.one_of<double>({0, 0.01})),
        kl(d.one_of<double>({0, 0.1})) {}
  int64_t sequences;
  double clip, entropy, kl;
};

Args grpo_loss(Draw& d) {
  const Sequence x(d);
  const LossSettings s(d);
  return {x.logprobs,  x.reference, x.firsts,  x.advantage, x.tokens,
          s.sequences, s.clip,      s.entropy, s.kl};
}

Args grpo_loss_backward(Draw& d) {
  const Sequence x(d);
  const LossSettings s(d);
  return {d.values(x.advantage.sizes(), at::kFloat),
          x.logprobs,
          x.reference,
          x.firsts,
          x.advantage,
          x.tokens,
          s.sequences,
          s.clip,
          s.entropy,
          s.kl};
}

Args sum_squares(Draw& d) {
  const std::vector<int64_t> sizes{d.size(30, 300), d.size(60, 500), d.between(1, 9)};
  const int64_t dim = d.between(0, 2);
  const auto slice = d.one_of<int64_t>({0, 1, 8, d.between(1, sizes[static_cast<size_t>(dim)])});
  return {d.values(sizes, d.dtype()), dim, slice};
}

Args clip_scale(Draw& d) {
  Tensors squares;
  for (int64_t left = d.size(6, 300); left > 0; --left) {
    squares.push_back(d.values({}, at::kFloat));
    if (d.between(0, 3) != 0) squares.back().abs_();
  }
  return {squares, d.one_of<double>({0.01, 1, 1e6})};
}

Args adamw_(Draw& d) {
  const int64_t n = d.size(700, 100000);
  const bool bf16_state = d.coin() && d.coin();  // moments beside a weight and a gradient in bf16
  const at::ScalarType dtype = bf16_state ? at::kBFloat16 : d.dtype();
  const at::ScalarType state = bf16_state ? at::kBFloat16 : at::kFloat;
  const bool has_master = !bf16_state && d.coin();
  const bool has_float_grad = !bf16_state && d.coin();
  const at::Tensor square = d.values({n}, state);
  const auto lr = d.one_of<double>({1e-6, 1e-3, 0.5});
  const auto decay = d.one_of<double>({0, 0.01});
  const at::Tensor master = d.values({n}, at::kFloat);
  return {d.values({n}, dtype),
          has_master ? c10::IValue(master) : c10::IValue(),
          d.values({n}, state),
          d.coin() ? square.abs() : square,
          d.values({n}, has_float_grad ? at::kFloat : dtype),
          d.values({}, at::kFloat),
          at::scalar_tensor(d.between(1, 100000), at::kLong),
          lr,
          /*beta1=*/0.9,
          /*beta2=*/0.999,
          /*eps=*/1e-8,
          decay};
}

// ---- what is observed --------------------------------------------------------------------------
at::Tensor of_any_dtype(Draw& d, at::IntArrayRef sizes) {
  const at::Tensor x = d.values(sizes, d.dtype());
  const auto dtype = d.one_of<at::ScalarType>({x.scalar_type(), at::kBool, at::kInt, at::kLong});
  return dtype == x.scalar_type() ? x : d.integers(sizes, 0, 1 << 30).to(dtype);
}

Args digest_sums(Draw& d) { return {of_any_dtype(d, {d.size(40, 600), d.between(0, 300)})}; }

Args mark(Draw& d) { return {d.values({d.size(40, 600)}, d.dtype()), "here"}; }

Args digest_rows(Draw& d) {
  Tensors values;
  std::vector<int64_t> widths;
  std::vector<int64_t> rows;
  std::vector<int64_t> sizes;
  for (int64_t left = d.between(1, 12); left > 0; --left) {
    const int64_t most = d.size(40, 300);
    widths.push_back(d.size(60, 1000));
    rows.push_back(d.coin() ? -1 : static_cast<int64_t>(sizes.size()));
    if (rows.back() >= 0) sizes.push_back(d.between(0, most));
    values.push_back(of_any_dtype(d, {most, widths.back()}));
  }
  sizes.push_back(0);  // of no value
  return {values, widths, rows, at::tensor(sizes)};
}

}  // namespace

const std::vector<OperatorCalls>& operator_calls() {
  static const std::vector<OperatorCalls> all = {
      {"adamw_", adamw_},
      {"clip_scale", clip_scale},
      {"digest_rows", digest_rows},
      {"digest_sums", digest_sums},
      {"embedding", embedding},
      {"embedding_wgrad_", embedding_wgrad_},
      {"flash_attention", flash_attention},
      {"flash_attention_backward", flash_attention_backward},
      {"grpo_loss", grpo_loss},
      {"grpo_loss_backward", grpo_loss_backward},
      {"linear", linear},
      {"linear_dgrad", linear_dgrad},
      {"linear_residual_add", linear_residual_add},
      {"linear_wgrad_", linear_wgrad_},
      {"log_softmax_gather", log_softmax_gather},
      {"log_softmax_gather_backward", log_softmax_gather_backward},
      {"mark", mark},
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
      {"rms_norm_wgrad_", rms_norm_wgrad_},
      {"rope", rope},
      {"sample", sample},
      {"silu_mul", silu_mul},
      {"silu_mul_backward", silu_mul_backward},
      {"sum_squares", sum_squares},
      {"tied_wgrad_", tied_wgrad_},
      {"write_kv", write_kv},
  };
  return all;
}

std::vector<at::Tensor> call_operator(const std::string& name, const OperatorArgs& args) {
  const auto op = c10::Dispatcher::singleton().findSchemaOrThrow(("samebits::" + name).c_str(), "");
  torch::jit::Stack stack = args;
  op.callBoxed(stack);
  for (size_t i = 0; i < args.size(); ++i) {
    if (is_written(op.schema().arguments()[i]) && !args[i].isNone()) stack.push_back(args[i]);
  }
  Tensors found;
  for (const c10::IValue& value : stack) {
    if (value.isTensor()) {
      found.push_back(value.toTensor());
    } else {
      for (const at::Tensor& tensor : value.toTensorVector()) found.push_back(tensor);
    }
  }
  return found;
}

}  // namespace samebits::testing
