#include "harness/kernels/cpu/flash_attention_parts.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cstring>

#include "harness/kernels/flash_attention.h"

namespace samebits {

const AttentionRows& attention_rows(Isa isa) {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::avx512:
      return kAttentionRowsAvx512;
    case Isa::avx2:
      return kAttentionRowsAvx2;
#endif
    default:
      return kAttentionRowsPortable;
  }
}

MatrixView KeyRows::tile(int64_t first, int64_t count, const AttentionShape& shape,
                         std::vector<char>& buffer) const {
  const auto element = static_cast<int64_t>(shape.element());
  if (pages == nullptr) return {base + first * row_stride * element, row_stride, 1};
  const int64_t row_bytes = shape.head_dim * element;
  buffer.resize(count * row_bytes);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t row = first + i;
    const int64_t at = pages[row / page_rows] * page_stride + row % page_rows * row_stride;
    std::memcpy(buffer.data() + i * row_bytes, base + at * element, row_bytes);
  }
  return {buffer.data(), shape.head_dim, 1};
}

std::vector<char> gather_rows(const char* x, const QueryRows& queries,
                              const AttentionShape& shape) {
  const int64_t head_bytes = shape.head_dim * static_cast<int64_t>(shape.element());
  const int64_t group_bytes = shape.group() * head_bytes;
  std::vector<char> rows(queries.count * group_bytes);
  for (int64_t i = 0; i < queries.count; ++i) {
    const int64_t row = (queries.token + i) * shape.heads + queries.kv_head * shape.group();
    std::memcpy(rows.data() + i * group_bytes, x + row * head_bytes, group_bytes);
  }
  return rows;
}

void causal_chain(const AttentionShape& shape, const RowBlock& queries, int64_t rows, int64_t group,
                  int64_t position, const MatrixView& k, int64_t keys, float* c) {
  constexpr int64_t kTile = cpu::kAttentionTile;
  for (int64_t n = 0; n < keys; n += queries.lanes()) {
    const int64_t from = std::max<int64_t>(0, n - position) * group;
    if (from >= rows) return;
    queries.chain_part(from, rows - from, 0, shape.head_dim, rows_from(k, n, shape.element()),
                       std::min(queries.lanes(), keys - n), c + from * kTile + n, kTile);
  }
}

at::Tensor index_tensor(const at::Tensor& x) {
  const bool is_index = x.scalar_type() == at::kInt || x.scalar_type() == at::kLong;
  return (is_index ? x : x.to(at::kLong)).contiguous();
}

Indices indices_of(const at::Tensor& index_tensor) {
  return {index_tensor.const_data_ptr(), index_tensor.numel(),
          index_tensor.scalar_type() == at::kLong};
}

int64_t checked_sequences(const char* op, const at::Tensor& cu_seqlens) {
  TORCH_CHECK(cu_seqlens.dim() == 1 && cu_seqlens.size(0) >= 1, "samebits::", op,
              ": cu_seqlens has sizes ", cu_seqlens.sizes(), ", expected [sequences + 1]");
  return cu_seqlens.size(0) - 1;
}

std::vector<int64_t> checked_boundaries(const char* op, const Indices& cu_seqlens, int64_t tokens) {
  std::vector<int64_t> boundaries(cu_seqlens.count);
  for (int64_t i = 0; i < cu_seqlens.count; ++i) boundaries[i] = cu_seqlens[i];
  TORCH_CHECK(boundaries.front() == 0, "samebits::", op, ": cu_seqlens starts at ",
              boundaries.front(), ", expected 0");
  TORCH_CHECK(std::is_sorted(boundaries.begin(), boundaries.end()), "samebits::", op,
              ": cu_seqlens falls somewhere, expected ascending values");
  TORCH_CHECK(boundaries.back() <= tokens, "samebits::", op, ": cu_seqlens ends at ",
              boundaries.back(), ", expected at most ", tokens, ", the tokens of q");
  return boundaries;
}

void clear_padding(void* x, int64_t first, int64_t end, int64_t row_bytes) {
  std::memset(static_cast<char*>(x) + first * row_bytes, 0, (end - first) * row_bytes);
}

AttentionShape checked_shape(const char* op, const at::Tensor& q, const at::Tensor& k,
                             const at::Tensor& v, double scale) {
  TORCH_CHECK(q.dim() == 4 && q.size(0) == 1, "samebits::", op, ": q has sizes ", q.sizes(),
              ", expected [1, T, H, D]");
  TORCH_CHECK(k.dim() == 4 && k.sizes() == v.sizes(), "samebits::", op, ": k has sizes ", k.sizes(),
              " and v ", v.sizes(), ", expected four dimensions and the same sizes");
  TORCH_CHECK(k.size(3) == q.size(3), "samebits::", op, ": k has head size ", k.size(3),
              ", expected ", q.size(3), ", as q has");
  const int64_t heads = q.size(2);
  const int64_t kv_heads = k.size(2);
  TORCH_CHECK(kv_heads > 0 ? heads % kv_heads == 0 : heads == 0, "samebits::", op, ": q has ",
              heads, " heads, expected a multiple of the ", kv_heads, " of k");
  const auto dtype = q.scalar_type();
  TORCH_CHECK(dtype == at::kFloat || dtype == at::kBFloat16, "samebits::", op, ": q has dtype ",
              dtype, ", expected float32 or bfloat16");
  TORCH_CHECK(k.scalar_type() == dtype && v.scalar_type() == dtype, "samebits::", op,
              ": k has dtype ", k.scalar_type(), " and v ", v.scalar_type(), ", expected ", dtype,
              ", as q has");
  return {dtype, heads, kv_heads, q.size(3), static_cast<float>(scale)};
}

int64_t query_block(const AttentionShape& shape) {
  constexpr int64_t kRows = 64;
  return std::max<int64_t>(1, kRows / std::max<int64_t>(1, shape.group()));
}

}  // namespace samebits
