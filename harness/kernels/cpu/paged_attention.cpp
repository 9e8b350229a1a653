// Attention over a paged cache, and the write into it. The arithmetic: flash_attention.h.

#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <algorithm>
#include <cstring>

#include "harness/dispatch/launch.h"
#include "harness/kernels/cpu/flash_attention_parts.h"
#include "harness/kernels/flash_attention.h"

namespace samebits::cpu {
namespace {

// What one call reads and writes. Sizes: flash_attention.h.
struct PagedCall {
  AttentionShape shape;
  const char* q;
  const char* k_cache;
  const char* v_cache;
  char* out;
  int64_t tokens;  // of q, padding included
  Indices cu_seqlens;
  Indices seq_lens;
  const int32_t* table;  // [sequences, table_width]
  int64_t table_width;
  int64_t pages;      // of the cache
  int64_t page_rows;  // tokens of a page
};

// Every page that a sequence reads lies in the cache.
void check_pages(const PagedCall& call, const std::vector<int64_t>& boundaries) {
  for (int64_t s = 0; s < call.seq_lens.count; ++s) {
    const int64_t queries = boundaries[s + 1] - boundaries[s];
    const int64_t length = call.seq_lens[s];
    TORCH_CHECK(length >= queries, "samebits::paged_attention: sequence ", s, " has ", length,
                " keys, expected at least its ", queries, " queries");
    if (queries == 0) continue;
    const int64_t used = (length + call.page_rows - 1) / call.page_rows;
    TORCH_CHECK(used <= call.table_width, "samebits::paged_attention: sequence ", s, " has ",
                length, " keys, expected at most ", call.table_width * call.page_rows,
                ", as its row of block_table holds");
    for (int64_t i = 0; i < used; ++i) {
      const int32_t page = call.table[s * call.table_width + i];
      TORCH_CHECK(page >= 0 && page < call.pages, "samebits::paged_attention: block_table[", s,
                  ", ", i, "] is ", page, ", expected 0 to ", call.pages - 1);
    }
  }
}

void run(const PagedCall& call) {
  const AttentionShape& shape = call.shape;
  const auto boundaries = checked_boundaries("paged_attention", call.cu_seqlens, call.tokens);
  check_pages(call, boundaries);
  struct Task {
    QueryRows queries;
    int64_t sequence;
  };
  std::vector<Task> tasks;
  for (int64_t s = 0; s < call.seq_lens.count; ++s) {
    const int64_t count = boundaries[s + 1] - boundaries[s];
    const int64_t step = query_block(shape);
    for (int64_t i = 0; i < count; i += step) {
      for (int64_t g = 0; g < shape.kv_heads; ++g) {
        tasks.push_back(
            {{boundaries[s] + i, std::min(step, count - i), call.seq_lens[s] - count + i, g}, s});
      }
    }
  }
  clear_padding(call.out, boundaries.back(), call.tokens,
                shape.heads * shape.head_dim * static_cast<int64_t>(shape.element()));
  const Isa isa = selected_isa();
  at::parallel_for(0, tasks.size(), /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const QueryRows& queries = tasks[i].queries;
      const auto offset = queries.kv_head * shape.head_dim * static_cast<int64_t>(shape.element());
      const int64_t stride = shape.kv_heads * shape.head_dim;
      const int32_t* own = call.table + tasks[i].sequence * call.table_width;
      attend(isa, shape, call.q, queries,
             {call.k_cache + offset, stride, own, call.page_rows, call.page_rows * stride},
             {call.v_cache + offset, stride, own, call.page_rows, call.page_rows * stride},
             call.out, /*lse=*/nullptr);
    }
  });
}

void check_slots(const Indices& slots, int64_t rows) {
  for (int64_t t = 0; t < slots.count; ++t) {
    TORCH_CHECK(slots[t] >= -1 && slots[t] < rows, "samebits::write_kv: slots[", t, "] is ",
                slots[t], ", expected -1 to ", rows - 1);
  }
}

const char* bytes_of(const at::Tensor& x) { return static_cast<const char*>(x.const_data_ptr()); }
char* mutable_bytes_of(const at::Tensor& x) { return static_cast<char*>(x.mutable_data_ptr()); }

}  // namespace

at::Tensor paged_attention(const at::Tensor& q_in, const at::Tensor& k_cache,
                           const at::Tensor& v_cache, const at::Tensor& block_table,
                           const at::Tensor& cu_seqlens_in, const at::Tensor& seq_lens_in,
                           double scale) {
  const AttentionShape shape = checked_shape("paged_attention", q_in, k_cache, v_cache, scale);
  TORCH_CHECK(k_cache.is_contiguous() && v_cache.is_contiguous(),
              "samebits::paged_attention: the cache is not contiguous");
  const int64_t sequences = checked_sequences("paged_attention", cu_seqlens_in);
  TORCH_CHECK(block_table.dim() == 2 && block_table.size(0) == sequences,
              "samebits::paged_attention: block_table has sizes ", block_table.sizes(),
              ", expected [", sequences, ", pages], as cu_seqlens has");
  TORCH_CHECK(seq_lens_in.dim() == 1 && seq_lens_in.size(0) == sequences,
              "samebits::paged_attention: seq_lens has sizes ", seq_lens_in.sizes(), ", expected [",
              sequences, "], as cu_seqlens has");
  TORCH_CHECK(k_cache.size(1) > 0, "samebits::paged_attention: the cache has sizes ",
              k_cache.sizes(), ", expected pages of at least one row");
  const at::Tensor q = q_in.contiguous();
  const at::Tensor table = block_table.to(at::kInt).contiguous();
  const at::Tensor cu_seqlens = index_tensor(cu_seqlens_in);
  const at::Tensor seq_lens = index_tensor(seq_lens_in);
  at::Tensor out = at::empty_like(q);
  launch("paged_attention",
         [call = PagedCall{shape, bytes_of(q), bytes_of(k_cache), bytes_of(v_cache),
                           mutable_bytes_of(out), q.size(1), indices_of(cu_seqlens),
                           indices_of(seq_lens), table.const_data_ptr<int32_t>(), table.size(1),
                           k_cache.size(0), k_cache.size(1)}] { run(call); });
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
  const at::Tensor slots_tensor = index_tensor(slots_in);
  launch("write_kv",
         [slots = indices_of(slots_tensor), rows = k_cache.size(0) * k_cache.size(1),
          bytes = k.size(2) * k.size(3) * k.element_size(), k = bytes_of(k), v = bytes_of(v),
          k_to = mutable_bytes_of(k_cache), v_to = mutable_bytes_of(v_cache)] {
           check_slots(slots, rows);
           for (int64_t t = 0; t < slots.count; ++t) {
             const int64_t slot = slots[t];
             if (slot == -1) continue;
             std::memcpy(k_to + slot * bytes, k + t * bytes, bytes);
             std::memcpy(v_to + slot * bytes, v + t * bytes, bytes);
           }
         });
}

}  // namespace samebits::cpu

TORCH_LIBRARY_IMPL(samebits, CPU, m) {
  m.impl("paged_attention", samebits::cpu::paged_attention);
  m.impl("write_kv", samebits::cpu::write_kv);
}
