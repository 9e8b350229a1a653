// Attention over a paged cache, and the write into it. The arithmetic: flash_attention.h.

#include <ATen/Parallel.h>
#include <ATen/ops/zeros_like.h>
#include <torch/library.h>

#include <algorithm>
#include <cstring>

#include "harness/kernels/cpu/flash_attention_parts.h"
#include "harness/kernels/flash_attention.h"

namespace samebits::cpu {
namespace {

// Every page that a sequence reads lies in the cache.
void check_pages(const at::Tensor& table, const std::vector<int64_t>& boundaries,
                 const int64_t* lengths, int64_t pages, int64_t page_rows) {
  const int32_t* data = table.const_data_ptr<int32_t>();
  for (int64_t s = 0; s < table.size(0); ++s) {
    const int64_t queries = boundaries[s + 1] - boundaries[s];
    TORCH_CHECK(lengths[s] >= queries, "samebits::paged_attention: sequence ", s, " has ",
                lengths[s], " keys, expected at least its ", queries, " queries");
    if (queries == 0) continue;
    const int64_t used = (lengths[s] + page_rows - 1) / page_rows;
    TORCH_CHECK(used <= table.size(1), "samebits::paged_attention: sequence ", s, " has ",
                lengths[s], " keys, expected at most ", table.size(1) * page_rows,
                ", as its row of block_table holds");
    for (int64_t i = 0; i < used; ++i) {
      const int32_t page = data[s * table.size(1) + i];
      TORCH_CHECK(page >= 0 && page < pages, "samebits::paged_attention: block_table[", s, ", ", i,
                  "] is ", page, ", expected 0 to ", pages - 1);
    }
  }
}

}  // namespace

at::Tensor paged_attention(const at::Tensor& q_in, const at::Tensor& k_cache,
                           const at::Tensor& v_cache, const at::Tensor& block_table,
                           const at::Tensor& cu_seqlens, const at::Tensor& seq_lens, double scale) {
  const AttentionShape shape = checked_shape("paged_attention", q_in, k_cache, v_cache, scale);
  TORCH_CHECK(k_cache.is_contiguous() && v_cache.is_contiguous(),
              "samebits::paged_attention: the cache is not contiguous");
  const auto boundaries =
      checked_boundaries("paged_attention", cu_seqlens, q_in.size(1), /*padded=*/true);
  const int64_t sequences = static_cast<int64_t>(boundaries.size()) - 1;
  TORCH_CHECK(block_table.dim() == 2 && block_table.size(0) == sequences,
              "samebits::paged_attention: block_table has sizes ", block_table.sizes(),
              ", expected [", sequences, ", pages], as cu_seqlens has");
  TORCH_CHECK(seq_lens.dim() == 1 && seq_lens.size(0) == sequences,
              "samebits::paged_attention: seq_lens has sizes ", seq_lens.sizes(), ", expected [",
              sequences, "], as cu_seqlens has");
  const at::Tensor q = q_in.contiguous();
  const at::Tensor table = block_table.to(at::kInt).contiguous();
  const at::Tensor lengths_tensor = seq_lens.to(at::kLong).contiguous();
  const int64_t* lengths = lengths_tensor.const_data_ptr<int64_t>();
  const int64_t page_rows = k_cache.size(1);
  TORCH_CHECK(page_rows > 0, "samebits::paged_attention: the cache has sizes ", k_cache.sizes(),
              ", expected pages of at least one row");
  check_pages(table, boundaries, lengths, k_cache.size(0), page_rows);

  struct Task {
    QueryRows queries;
    int64_t sequence;
  };
  std::vector<Task> tasks;
  for (int64_t s = 0; s < sequences; ++s) {
    const int64_t count = boundaries[s + 1] - boundaries[s];
    const int64_t step = query_block(shape);
    for (int64_t i = 0; i < count; i += step) {
      for (int64_t g = 0; g < shape.kv_heads; ++g) {
        tasks.push_back(
            {{boundaries[s] + i, std::min(step, count - i), lengths[s] - count + i, g}, s});
      }
    }
  }
  at::Tensor out = at::zeros_like(q);
  const Isa isa = selected_isa();
  const auto* q_data = static_cast<const char*>(q.const_data_ptr());
  const auto* k_data = static_cast<const char*>(k_cache.const_data_ptr());
  const auto* v_data = static_cast<const char*>(v_cache.const_data_ptr());
  const int32_t* pages = table.const_data_ptr<int32_t>();
  auto* out_data = static_cast<char*>(out.mutable_data_ptr());
  at::parallel_for(0, tasks.size(), /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const QueryRows& queries = tasks[i].queries;
      const auto offset = queries.kv_head * shape.head_dim * static_cast<int64_t>(shape.element());
      const int64_t stride = shape.kv_heads * shape.head_dim;
      const int32_t* own = pages + tasks[i].sequence * table.size(1);
      attend(isa, shape, q_data, queries,
             {k_data + offset, stride, own, page_rows, page_rows * stride},
             {v_data + offset, stride, own, page_rows, page_rows * stride}, out_data,
             /*lse=*/nullptr);
    }
  });
  return out;
}

void write_kv(const at::Tensor& k_cache, const at::Tensor& v_cache, const at::Tensor& k_in,
              const at::Tensor& v_in, const at::Tensor& slots_in) {
  TORCH_CHECK(k_cache.dim() == 4 && k_cache.sizes() == v_cache.sizes(),
              "samebits::write_kv: k_cache has sizes ", k_cache.sizes(), " and v_cache ",
              v_cache.sizes(), ", expected [blocks, block_size, G, D] twice");
  TORCH_CHECK(k_cache.is_contiguous() && v_cache.is_contiguous(),
              "samebits::write_kv: the cache is not contiguous");
  TORCH_CHECK(k_in.dim() == 4 && k_in.size(0) == 1 && k_in.sizes() == v_in.sizes() &&
                  k_in.size(2) == k_cache.size(2) && k_in.size(3) == k_cache.size(3),
              "samebits::write_kv: k has sizes ", k_in.sizes(), " and v ", v_in.sizes(),
              ", expected [1, T, ", k_cache.size(2), ", ", k_cache.size(3), "] twice");
  for (const at::Tensor* tensor : {&v_cache, &k_in, &v_in}) {
    TORCH_CHECK(tensor->scalar_type() == k_cache.scalar_type(), "samebits::write_kv: found dtype ",
                tensor->scalar_type(), ", expected ", k_cache.scalar_type(), ", as k_cache has");
  }
  TORCH_CHECK(slots_in.dim() == 1 && slots_in.size(0) == k_in.size(1),
              "samebits::write_kv: slots has sizes ", slots_in.sizes(), ", expected [",
              k_in.size(1), "]");
  const at::Tensor k = k_in.contiguous();
  const at::Tensor v = v_in.contiguous();
  const at::Tensor slots = slots_in.to(at::kLong).contiguous();
  const int64_t* slot = slots.const_data_ptr<int64_t>();
  const int64_t rows = k_cache.size(0) * k_cache.size(1);
  for (int64_t t = 0; t < slots.numel(); ++t) {
    TORCH_CHECK(slot[t] >= -1 && slot[t] < rows, "samebits::write_kv: slots[", t, "] is ", slot[t],
                ", expected -1 to ", rows - 1);
  }
  const int64_t bytes = k.size(2) * k.size(3) * k.element_size();
  const auto* k_data = static_cast<const char*>(k.const_data_ptr());
  const auto* v_data = static_cast<const char*>(v.const_data_ptr());
  auto* k_to = static_cast<char*>(k_cache.mutable_data_ptr());
  auto* v_to = static_cast<char*>(v_cache.mutable_data_ptr());
  for (int64_t t = 0; t < slots.numel(); ++t) {
    if (slot[t] == -1) continue;
    std::memcpy(k_to + slot[t] * bytes, k_data + t * bytes, bytes);
    std::memcpy(v_to + slot[t] * bytes, v_data + t * bytes, bytes);
  }
}

}  // namespace samebits::cpu

TORCH_LIBRARY_IMPL(samebits, CPU, m) {
  m.impl("paged_attention", samebits::cpu::paged_attention);
  m.impl("write_kv", samebits::cpu::write_kv);
}
