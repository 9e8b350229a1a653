// Attention's gradients. A task is one key-value head of one sequence, so no task writes what
// another writes. The arithmetic: flash_attention.h.

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <algorithm>

#include "harness/dispatch/launch.h"
#include "harness/kernels/cpu/flash_attention_parts.h"
#include "harness/kernels/cpu/math.h"
#include "harness/kernels/flash_attention.h"

namespace samebits::cpu {
namespace {

constexpr int64_t kTile = kAttentionTile;

// What one call reads and writes. Sizes: flash_attention.h.
struct Gradients {
  Isa isa;
  AttentionShape shape;
  const char* q;
  const char* k;
  const char* v;
  const char* dout;
  const char* out;
  const float* lse;  // [T, H]
  float* delta;      // [T, H]: made on the way
  int64_t tokens;    // T, padding included
  Indices cu_seqlens;
  char* dq;
  char* dk;
  char* dv;

  // Row `token` of head `head` in a tensor [T, heads, D].
  char* at(char* x, int64_t token, int64_t head, int64_t heads) const {
    return x + (token * heads + head) * shape.head_dim * static_cast<int64_t>(shape.element());
  }
  MatrixView rows(const char* x, int64_t token, int64_t head, int64_t heads) const {
    return {at(const_cast<char*>(x), token, head, heads), heads * shape.head_dim, 1};
  }
};

// A [rows, columns] buffer of float32 and what its first rows look like rounded to the dtype.
class Tile {
 public:
  Tile(const AttentionShape& shape, const AttentionRows& kernels, int64_t rows, int64_t columns)
      : kernels_(kernels),
        bf16_(shape.dtype != at::kFloat),
        columns_(columns),
        values_(rows * columns) {}

  void clear(int64_t rows) { std::fill_n(values_.begin(), rows * columns_, 0.0f); }
  float* row(int64_t r) { return &values_[r * columns_]; }

  MatrixView rounded(int64_t rows) {
    if (!bf16_) return {values_.data(), columns_, 1};
    rounded_.resize(rows * columns_);
    kernels_.round_bf16(values_.data(), rows * columns_, rounded_.data());
    return {rounded_.data(), columns_, 1};
  }

  void store(int64_t r, char* to) {
    if (bf16_) {
      kernels_.round_bf16(row(r), columns_, reinterpret_cast<uint16_t*>(to));
    } else {
      auto* out = reinterpret_cast<float*>(to);
      for (int64_t d = 0; d < columns_; ++d) out[d] = canonical_nan_f32(row(r)[d]);
    }
  }

 private:
  const AttentionRows& kernels_;
  bool bf16_;
  int64_t columns_;
  std::vector<float> values_;
  std::vector<uint16_t> rounded_;
};

// One key-value head of one sequence: the scores of a tile of queries and a tile of keys are made
// once, for dq of the queries and for dk and dv of the keys.
class HeadGradients {
 public:
  HeadGradients(const Gradients& g, int64_t start, int64_t length)
      : g_(g),
        kernels_(attention_rows(g.isa)),
        start_(start),
        length_(length),
        dk_(g.shape, kernels_, length, g.shape.head_dim),
        dv_(g.shape, kernels_, length, g.shape.head_dim),
        dq_(g.shape, kernels_, kTile, g.shape.head_dim),
        p_(g.shape, kernels_, kTile, kTile),
        ds_(g.shape, kernels_, kTile, kTile),
        q_(g.isa, g.shape.dtype),
        dout_(g.isa, g.shape.dtype),
        left_(g.isa, g.shape.dtype) {}

  void run(int64_t kv_head) {
    const AttentionShape& shape = g_.shape;
    for (int64_t head = kv_head * shape.group(); head < (kv_head + 1) * shape.group(); ++head) {
      for (int64_t first = 0; first < length_; first += kTile) queries(first, head, kv_head);
    }
    for (int64_t j = 0; j < length_; ++j) {
      dk_.store(j, g_.at(g_.dk, start_ + j, kv_head, shape.kv_heads));
      dv_.store(j, g_.at(g_.dv, start_ + j, kv_head, shape.kv_heads));
    }
  }

 private:
  // The tile of queries at `first` against the keys that it sees.
  void queries(int64_t first, int64_t head, int64_t kv_head) {
    const AttentionShape& shape = g_.shape;
    const int64_t count = std::min(kTile, length_ - first);
    const MatrixView q = g_.rows(g_.q, start_ + first, head, shape.heads);
    const MatrixView dout = g_.rows(g_.dout, start_ + first, head, shape.heads);
    q_.prepare(q, count, shape.head_dim);
    dout_.prepare(dout, count, shape.head_dim);
    dq_.clear(count);
    for (int64_t tile = 0; tile <= first; tile += kTile) {
      const int64_t keys = std::min(kTile, length_ - tile);
      const MatrixView k = g_.rows(g_.k, start_ + tile, kv_head, shape.kv_heads);
      const MatrixView v = g_.rows(g_.v, start_ + tile, kv_head, shape.kv_heads);
      weights(first, count, tile, keys, head, k, v);
      const MatrixView p = p_.rounded(count);
      const MatrixView ds = ds_.rounded(count);
      accumulate(ds, count, keys, k, dq_.row(0));
      accumulate(transposed(ds), keys, count, q, dk_.row(tile));
      accumulate(transposed(p), keys, count, dout, dv_.row(tile));
    }
    for (int64_t i = 0; i < count; ++i) {
      dq_.store(i, g_.at(g_.dq, start_ + first + i, head, shape.heads));
    }
  }

  // p_ and ds_ [count, keys], zero where masked.
  void weights(int64_t first, int64_t count, int64_t tile, int64_t keys, int64_t head,
               const MatrixView& k, const MatrixView& v) {
    p_.clear(count);
    ds_.clear(count);
    causal_chain(g_.shape, q_, count, /*group=*/1, first - tile, k, keys, p_.row(0));
    causal_chain(g_.shape, dout_, count, /*group=*/1, first - tile, v, keys, ds_.row(0));
    for (int64_t i = 0; i < count; ++i) {
      const int64_t at = (start_ + first + i) * g_.shape.heads + head;
      const int64_t seen = std::min(keys, first + i + 1 - tile);
      kernels_.gradients(p_.row(i), ds_.row(i), seen, g_.shape.scale, g_.lse[at], g_.delta[at]);
      std::fill(p_.row(i) + seen, p_.row(i) + kTile, 0.0f);
      std::fill(ds_.row(i) + seen, ds_.row(i) + kTile, 0.0f);
    }
  }

  // c += a b, a: [rows, k], b: [k, head_dim].
  void accumulate(const MatrixView& a, int64_t rows, int64_t k, const MatrixView& b, float* c) {
    left_.prepare(a, rows, k);
    left_.chain(transposed(b), g_.shape.head_dim, c, g_.shape.head_dim);
  }

  const Gradients& g_;
  const AttentionRows& kernels_;
  int64_t start_;
  int64_t length_;
  Tile dk_;
  Tile dv_;
  Tile dq_;
  Tile p_;
  Tile ds_;
  RowBlock q_;
  RowBlock dout_;
  RowBlock left_;
};

// delta[t, h] = dout[t, h, :] . out[t, h, :], of the first so many tokens.
void row_products(const Gradients& g, int64_t tokens) {
  const AttentionRows& kernels = attention_rows(g.isa);
  const int64_t d = g.shape.head_dim;
  for (int64_t row = 0; row < tokens * g.shape.heads; ++row) {
    if (g.shape.dtype == at::kFloat) {
      g.delta[row] = kernels.dot_f32(reinterpret_cast<const float*>(g.dout) + row * d,
                                     reinterpret_cast<const float*>(g.out) + row * d, d);
    } else {
      g.delta[row] = kernels.dot_bf16(reinterpret_cast<const uint16_t*>(g.dout) + row * d,
                                      reinterpret_cast<const uint16_t*>(g.out) + row * d, d);
    }
  }
}

void run(const Gradients& g) {
  const auto boundaries = checked_boundaries("flash_attention_backward", g.cu_seqlens, g.tokens);
  row_products(g, boundaries.back());
  const auto clear = [&](char* x, int64_t heads) {
    clear_padding(x, boundaries.back(), g.tokens,
                  heads * g.shape.head_dim * static_cast<int64_t>(g.shape.element()));
  };
  clear(g.dq, g.shape.heads);
  clear(g.dk, g.shape.kv_heads);
  clear(g.dv, g.shape.kv_heads);
  const int64_t kv_heads = g.shape.kv_heads;
  const int64_t sequences = static_cast<int64_t>(boundaries.size()) - 1;
  at::parallel_for(0, sequences * kv_heads, /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t start = boundaries[i / kv_heads];
      HeadGradients(g, start, boundaries[i / kv_heads + 1] - start).run(i % kv_heads);
    }
  });
}

}  // namespace

std::tuple<at::Tensor, at::Tensor, at::Tensor> flash_attention_backward(
    const at::Tensor& dout_in, const at::Tensor& q_in, const at::Tensor& k_in,
    const at::Tensor& v_in, const at::Tensor& out_in, const at::Tensor& lse_in,
    const at::Tensor& cu_seqlens, double scale) {
  const char* op = "flash_attention_backward";
  const AttentionShape shape = checked_shape(op, q_in, k_in, v_in, scale);
  const int64_t tokens = q_in.size(1);
  TORCH_CHECK(k_in.size(0) == 1 && k_in.size(1) == tokens, "samebits::", op, ": k has sizes ",
              k_in.sizes(), ", expected [1, ", tokens, ", G, D]");
  TORCH_CHECK(dout_in.sizes() == q_in.sizes() && out_in.sizes() == q_in.sizes(), "samebits::", op,
              ": dout has sizes ", dout_in.sizes(), " and out ", out_in.sizes(), ", expected ",
              q_in.sizes(), ", as q has");
  TORCH_CHECK(dout_in.scalar_type() == shape.dtype && out_in.scalar_type() == shape.dtype,
              "samebits::", op, ": dout has dtype ", dout_in.scalar_type(), " and out ",
              out_in.scalar_type(), ", expected ", shape.dtype, ", as q has");
  TORCH_CHECK(lse_in.scalar_type() == at::kFloat && lse_in.numel() == tokens * shape.heads,
              "samebits::", op, ": lse has dtype ", lse_in.scalar_type(), " and sizes ",
              lse_in.sizes(), ", expected float32 [1, ", tokens, ", ", shape.heads, "]");
  checked_sequences(op, cu_seqlens);
  const at::Tensor starts = index_tensor(cu_seqlens);
  const at::Tensor q = q_in.contiguous();
  const at::Tensor k = k_in.contiguous();
  const at::Tensor v = v_in.contiguous();
  const at::Tensor dout = dout_in.contiguous();
  const at::Tensor out = out_in.contiguous();
  const at::Tensor lse = lse_in.contiguous();
  at::Tensor dq = at::empty_like(q);
  at::Tensor dk = at::empty_like(k);
  at::Tensor dv = at::empty_like(v);
  const at::Tensor delta = at::empty({tokens, shape.heads}, q.options().dtype(at::kFloat));
  const auto bytes = [](const at::Tensor& x) {
    return static_cast<const char*>(x.const_data_ptr());
  };
  const auto mutable_bytes = [](at::Tensor& x) { return static_cast<char*>(x.mutable_data_ptr()); };
  launch(op, [g = Gradients{selected_isa(), shape, bytes(q), bytes(k), bytes(v), bytes(dout),
                            bytes(out), lse.const_data_ptr<float>(),
                            delta.mutable_data_ptr<float>(), tokens, indices_of(starts),
                            mutable_bytes(dq), mutable_bytes(dk), mutable_bytes(dv)}] { run(g); });
  return {dq, dk, dv};
}

}  // namespace samebits::cpu

TORCH_LIBRARY_IMPL(samebits, CPU, m) {
  m.impl("flash_attention_backward", samebits::cpu::flash_attention_backward);
}
