// Attention's gradients, in two passes that share nothing: rows of queries give dq, rows of keys
// give dk and dv. Each recomputes the scores, so no task writes what another writes. The
// arithmetic: flash_attention.h.

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <algorithm>

#include "harness/kernels/cpu/flash_attention_parts.h"
#include "harness/kernels/cpu/math.h"
#include "harness/kernels/flash_attention.h"

namespace samebits::cpu {
namespace {

constexpr int64_t kTile = kAttentionTile;

struct Gradients {
  Isa isa;
  AttentionShape shape;
  const char* q;
  const char* k;
  const char* v;
  const char* dout;
  const float* lse;    // [T, H]
  const float* delta;  // [T, H]
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

MatrixView transposed(const MatrixView& view) {
  return {view.data, view.k_stride, view.row_stride};
}

// A [rows, columns] buffer of float32 and what it looks like rounded to the dtype.
class Tile {
 public:
  Tile(const AttentionShape& shape, const AttentionRows& kernels, int64_t rows, int64_t columns)
      : kernels_(kernels),
        bf16_(shape.dtype != at::kFloat),
        columns_(columns),
        values_(rows * columns),
        rounded_(bf16_ ? rows * columns : 0) {}

  void clear() { std::fill(values_.begin(), values_.end(), 0.0f); }
  float* row(int64_t r) { return &values_[r * columns_]; }
  float* data() { return values_.data(); }
  int64_t columns() const { return columns_; }

  MatrixView rounded() {
    if (!bf16_) return {values_.data(), columns_, 1};
    kernels_.round_bf16(values_.data(), static_cast<int64_t>(values_.size()), rounded_.data());
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

// dq of the queries first .. first + count (count at most one tile, inside one tile of positions)
// of the sequence at token `start` with `length` tokens, for one query head.
void query_gradients(const Gradients& g, int64_t start, int64_t length, int64_t first,
                     int64_t count, int64_t head) {
  const AttentionShape& shape = g.shape;
  const AttentionRows& kernels = attention_rows(g.isa);
  const int64_t kv_head = head / shape.group();
  RowBlock q(g.isa, shape.dtype);
  RowBlock dout(g.isa, shape.dtype);
  q.prepare(g.rows(g.q, start + first, head, shape.heads), count, shape.head_dim);
  dout.prepare(g.rows(g.dout, start + first, head, shape.heads), count, shape.head_dim);
  Tile scores(shape, kernels, count, kTile);
  Tile dp(shape, kernels, count, kTile);
  Tile dq(shape, kernels, count, shape.head_dim);

  for (int64_t tile = 0; tile < first + count; tile += kTile) {
    const int64_t keys = std::min(kTile, length - tile);
    const MatrixView k = g.rows(g.k, start + tile, kv_head, shape.kv_heads);
    scores.clear();
    dp.clear();
    q.chain(k, keys, scores.data(), kTile);
    dout.chain(g.rows(g.v, start + tile, kv_head, shape.kv_heads), keys, dp.data(), kTile);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t at = (start + first + i) * shape.heads + head;
      const int64_t seen = std::min(keys, first + i + 1 - tile);
      kernels.gradients_of_keys(scores.row(i), dp.row(i), seen, shape.scale, g.lse[at],
                                g.delta[at]);
      std::fill(dp.row(i) + seen, dp.row(i) + kTile, 0.0f);
    }
    RowBlock ds(g.isa, shape.dtype);
    ds.prepare(dp.rounded(), count, keys);
    ds.chain(transposed(k), shape.head_dim, dq.data(), shape.head_dim);
  }
  for (int64_t i = 0; i < count; ++i) {
    dq.store(i, g.at(g.dq, start + first + i, head, shape.heads));
  }
}

// dk and dv of the keys first .. first + count, a tile, for one key-value head.
void key_gradients(const Gradients& g, int64_t start, int64_t length, int64_t first, int64_t count,
                   int64_t kv_head) {
  const AttentionShape& shape = g.shape;
  const AttentionRows& kernels = attention_rows(g.isa);
  RowBlock k(g.isa, shape.dtype);
  RowBlock v(g.isa, shape.dtype);
  k.prepare(g.rows(g.k, start + first, kv_head, shape.kv_heads), count, shape.head_dim);
  v.prepare(g.rows(g.v, start + first, kv_head, shape.kv_heads), count, shape.head_dim);
  Tile scores(shape, kernels, count, kTile);
  Tile dp(shape, kernels, count, kTile);
  Tile dk(shape, kernels, count, shape.head_dim);
  Tile dv(shape, kernels, count, shape.head_dim);
  float lse[kTile];
  float delta[kTile];

  for (int64_t head = kv_head * shape.group(); head < (kv_head + 1) * shape.group(); ++head) {
    for (int64_t tile = first; tile < length; tile += kTile) {
      const int64_t queries = std::min(kTile, length - tile);
      const MatrixView q = g.rows(g.q, start + tile, head, shape.heads);
      const MatrixView dout = g.rows(g.dout, start + tile, head, shape.heads);
      scores.clear();
      dp.clear();
      k.chain(q, queries, scores.data(), kTile);
      v.chain(dout, queries, dp.data(), kTile);
      for (int64_t i = 0; i < queries; ++i) {
        lse[i] = g.lse[(start + tile + i) * shape.heads + head];
        delta[i] = g.delta[(start + tile + i) * shape.heads + head];
      }
      for (int64_t j = 0; j < count; ++j) {
        const int64_t masked = std::clamp<int64_t>(first + j - tile, 0, queries);
        kernels.gradients_of_queries(scores.row(j) + masked, dp.row(j) + masked, queries - masked,
                                     shape.scale, lse + masked, delta + masked);
        std::fill(scores.row(j), scores.row(j) + masked, 0.0f);
        std::fill(dp.row(j), dp.row(j) + masked, 0.0f);
      }
      RowBlock p(g.isa, shape.dtype);
      p.prepare(scores.rounded(), count, queries);
      p.chain(transposed(dout), shape.head_dim, dv.data(), shape.head_dim);
      RowBlock ds(g.isa, shape.dtype);
      ds.prepare(dp.rounded(), count, queries);
      ds.chain(transposed(q), shape.head_dim, dk.data(), shape.head_dim);
    }
  }
  for (int64_t j = 0; j < count; ++j) {
    dk.store(j, g.at(g.dk, start + first + j, kv_head, shape.kv_heads));
    dv.store(j, g.at(g.dv, start + first + j, kv_head, shape.kv_heads));
  }
}

// delta[t, h] = dout[t, h, :] . out[t, h, :].
at::Tensor row_products(Isa isa, const at::Tensor& dout, const at::Tensor& out) {
  const AttentionRows& kernels = attention_rows(isa);
  at::Tensor delta = at::empty({dout.size(1), dout.size(2)}, dout.options().dtype(at::kFloat));
  const int64_t d = dout.size(3);
  float* to = delta.mutable_data_ptr<float>();
  for (int64_t row = 0; row < delta.numel(); ++row) {
    if (dout.scalar_type() == at::kFloat) {
      to[row] = kernels.dot_f32(dout.const_data_ptr<float>() + row * d,
                                out.const_data_ptr<float>() + row * d, d);
    } else {
      to[row] = kernels.dot_bf16(static_cast<const uint16_t*>(dout.const_data_ptr()) + row * d,
                                 static_cast<const uint16_t*>(out.const_data_ptr()) + row * d, d);
    }
  }
  return delta;
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
  const at::Tensor starts_of = index_tensor(cu_seqlens);
  const auto boundaries = checked_boundaries(op, indices_of(starts_of), tokens, /*padded=*/false);
  const at::Tensor q = q_in.contiguous();
  const at::Tensor k = k_in.contiguous();
  const at::Tensor v = v_in.contiguous();
  const at::Tensor dout = dout_in.contiguous();
  const at::Tensor out = out_in.contiguous();
  const at::Tensor lse = lse_in.contiguous();
  at::Tensor dq = at::empty_like(q);
  at::Tensor dk = at::empty_like(k);
  at::Tensor dv = at::empty_like(v);
  const Isa isa = selected_isa();
  const at::Tensor delta = row_products(isa, dout, out);
  const auto bytes = [](const at::Tensor& x) {
    return static_cast<const char*>(x.const_data_ptr());
  };
  const auto mutable_bytes = [](at::Tensor& x) { return static_cast<char*>(x.mutable_data_ptr()); };
  const Gradients g{isa,
                    shape,
                    bytes(q),
                    bytes(k),
                    bytes(v),
                    bytes(dout),
                    lse.const_data_ptr<float>(),
                    delta.const_data_ptr<float>(),
                    mutable_bytes(dq),
                    mutable_bytes(dk),
                    mutable_bytes(dv)};

  struct Task {
    int64_t start, length, first, head;
    bool of_queries;
  };
  std::vector<Task> tasks;
  for (size_t s = 0; s + 1 < boundaries.size(); ++s) {
    const int64_t length = boundaries[s + 1] - boundaries[s];
    for (int64_t first = 0; first < length; first += kTile) {
      for (int64_t h = 0; h < shape.heads; ++h) {
        tasks.push_back({boundaries[s], length, first, h, /*of_queries=*/true});
      }
      for (int64_t h = 0; h < shape.kv_heads; ++h) {
        tasks.push_back({boundaries[s], length, first, h, /*of_queries=*/false});
      }
    }
  }
  at::parallel_for(0, tasks.size(), /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Task& t = tasks[i];
      const int64_t count = std::min(kTile, t.length - t.first);
      (t.of_queries ? query_gradients : key_gradients)(g, t.start, t.length, t.first, count,
                                                       t.head);
    }
  });
  return {dq, dk, dv};
}

}  // namespace samebits::cpu

TORCH_LIBRARY_IMPL(samebits, CPU, m) {
  m.impl("flash_attention_backward", samebits::cpu::flash_attention_backward);
}
