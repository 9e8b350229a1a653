// One block of queries of one key-value head. The arithmetic: flash_attention.h.

#include <algorithm>
#include <limits>

#include "harness/kernels/cpu/flash_attention_parts.h"
#include "harness/kernels/cpu/math.h"
#include "harness/kernels/cpu/sm90_step.h"
#include "harness/kernels/flash_attention.h"

namespace samebits {
namespace {

constexpr int64_t kTile = cpu::kAttentionTile;

class ForwardBlock {
 public:
  ForwardBlock(Isa isa, const AttentionShape& shape, const QueryRows& queries)
      : rows_kernels_(attention_rows(isa)),
        shape_(shape),
        queries_(queries),
        rows_(queries.count * shape.group()),
        q_(isa, shape.dtype),
        p_(isa, shape.dtype),
        scores_(rows_ * kTile),
        p_bf16_(shape.dtype == at::kFloat ? 0 : rows_ * kTile),
        o_(rows_ * shape.head_dim),
        m_(rows_, -std::numeric_limits<float>::infinity()),
        l_(rows_),
        alpha_(rows_) {}

  void run(const char* q, const KeyRows& keys, const KeyRows& values) {
    const std::vector<char> q_rows = gather_rows(q, queries_, shape_);
    q_.prepare({q_rows.data(), shape_.head_dim, 1}, rows_, shape_.head_dim);
    const int64_t end = queries_.position + queries_.count;  // keys that the last query sees
    for (int64_t first = 0; first < end; first += kTile) {
      const int64_t count = std::min(kTile, end - first);
      scores(first, count, keys);
      softmax(first);
      accumulate(first, count, values);
    }
  }

  // Writes rows of out [T, H, D] and, unless null, of lse [T, H].
  void store(char* out, float* lse) const {
    const int64_t d = shape_.head_dim;
    const int64_t group = shape_.group();
    for (int64_t row = 0; row < rows_; ++row) {
      const int64_t to = first_of(row / group) + row % group;
      if (shape_.dtype == at::kFloat) {
        rows_kernels_.divide_f32(&o_[row * d], d, l_[row], reinterpret_cast<float*>(out) + to * d);
      } else {
        rows_kernels_.divide_bf16(&o_[row * d], d, l_[row],
                                  reinterpret_cast<uint16_t*>(out) + to * d);
      }
    }
    for (int64_t row = 0; lse != nullptr && row < rows_; row += group) {
      rows_kernels_.log_sum(&m_[row], &l_[row], group, lse + first_of(row / group));
    }
  }

 private:
  // Where the heads of one query of the block are in [T, H].
  int64_t first_of(int64_t query) const {
    return (queries_.token + query) * shape_.heads + queries_.kv_head * shape_.group();
  }

  // Keys of the tile at `first` that a row sees, at most `kTile`; 0 or less: none.
  int64_t length(int64_t row, int64_t first) const {
    return std::min(kTile, queries_.position + row / shape_.group() + 1 - first);
  }

  // The first row that sees a key of the tile.
  int64_t first_row(int64_t first) const {
    return std::max<int64_t>(0, first - queries_.position) * shape_.group();
  }

  void scores(int64_t first, int64_t count, const KeyRows& keys) {
    std::fill(scores_.begin() + first_row(first) * kTile, scores_.end(), 0.0f);
    causal_chain(shape_, q_, rows_, shape_.group(), queries_.position - first,
                 keys.tile(first, count, shape_, key_buffer_), count, scores_.data());
  }

  void softmax(int64_t first) {
    const int64_t from = first_row(first);
    for (int64_t row = from; row < rows_; ++row) {
      const float m =
          rows_kernels_.scale_max(&scores_[row * kTile], length(row, first), shape_.scale, m_[row]);
      alpha_[row] = m_[row] - m;
      m_[row] = m;
    }
    rows_kernels_.exp(&alpha_[from], rows_ - from);
    for (int64_t row = from; row < rows_; ++row) {
      float* s = &scores_[row * kTile];
      const int64_t n = length(row, first);
      const float product = l_[row] * alpha_[row];
      l_[row] = product + rows_kernels_.exp_sum(s, n, m_[row]);
      rows_kernels_.multiply(&o_[row * shape_.head_dim], shape_.head_dim, alpha_[row]);
      std::fill(s + n, s + kTile, 0.0f);
    }
  }

  // O += P V. Rows that see the whole of a step go together; a row that sees part of it has a
  // shorter last step, so that what it must not see is not even multiplied by zero. Where that
  // makes no difference they go with the others.
  void accumulate(int64_t first, int64_t count, const KeyRows& values) {
    const int64_t from = first_row(first);
    prepare_p(from, count);
    const MatrixView v = values.tile(first, count, shape_, value_buffer_);
    const int64_t group = shape_.group();
    if (length(from, first) >= count) return chain(from, rows_ - from, from, 0, count, v);
    for (int64_t k = 0; k < count; k += kSm90StepK) {
      const int64_t step = std::min<int64_t>(kSm90StepK, count - k);
      int64_t row = from;
      while (row < rows_ && length(row, first) <= k) row += group;
      const auto sees_part = [&] { return row < rows_ && length(row, first) < k + step; };
      if (sees_part() && !zeros_add_nothing(v, k, step)) {
        for (; sees_part(); row += group) chain(row, group, from, k, length(row, first) - k, v);
      }
      if (row < rows_) chain(row, rows_ - row, from, k, step, v);
    }
  }

  // Zeros times finite values leave a step of sm90 what it is. A sum of fmaf they might take from
  // -0 to +0.
  bool zeros_add_nothing(const MatrixView& v, int64_t k, int64_t step) const {
    if (shape_.dtype == at::kFloat) return false;
    const auto* row = static_cast<const uint16_t*>(v.data) + k * v.row_stride;
    for (int64_t i = 0; i < step; ++i, row += v.row_stride) {
      if (!rows_kernels_.finite_bf16(row, shape_.head_dim)) return false;
    }
    return true;
  }

  void prepare_p(int64_t from, int64_t count) {
    const void* p = &scores_[from * kTile];
    if (shape_.dtype != at::kFloat) {
      rows_kernels_.round_bf16(&scores_[from * kTile], (rows_ - from) * kTile,
                               &p_bf16_[from * kTile]);
      p = &p_bf16_[from * kTile];
    }
    p_.prepare({p, kTile, 1}, rows_ - from, count);
  }

  // p_ holds the rows from `prepared` on.
  void chain(int64_t row, int64_t rows, int64_t prepared, int64_t first_k, int64_t k,
             const MatrixView& v) {
    p_.chain_part(row - prepared, rows, first_k, k,
                  transposed(rows_from(v, first_k, shape_.element())), shape_.head_dim,
                  &o_[row * shape_.head_dim], shape_.head_dim);
  }

  const AttentionRows& rows_kernels_;
  const AttentionShape& shape_;
  const QueryRows& queries_;
  int64_t rows_;
  RowBlock q_;
  RowBlock p_;
  std::vector<float> scores_;     // [rows, kTile], then p
  std::vector<uint16_t> p_bf16_;  // [rows, kTile]
  std::vector<float> o_;          // [rows, D]
  std::vector<float> m_;          // [rows]
  std::vector<float> l_;          // [rows]
  std::vector<float> alpha_;      // [rows]
  std::vector<char> key_buffer_;
  std::vector<char> value_buffer_;
};

}  // namespace

void attend(Isa isa, const AttentionShape& shape, const char* q, const QueryRows& queries,
            const KeyRows& keys, const KeyRows& values, char* out, float* lse) {
  ForwardBlock block(isa, shape, queries);
  block.run(q, keys, values);
  block.store(out, lse);
}

}  // namespace samebits
