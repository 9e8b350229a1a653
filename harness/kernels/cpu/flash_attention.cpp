// flash_attention over contiguous keys: shapes, tasks, registration.

#include "harness/kernels/flash_attention.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <algorithm>

#include "harness/dispatch/launch.h"
#include "harness/kernels/cpu/flash_attention_parts.h"

namespace samebits::cpu {

namespace {

// What one call reads and writes. Sizes: flash_attention.h.
struct Call {
  AttentionShape shape;
  const char* q;
  const char* k;
  const char* v;
  char* out;
  float* lse;
  int64_t tokens;  // padding included
  Indices cu_seqlens;
};

void run(const Call& call) {
  const AttentionShape& shape = call.shape;
  const auto boundaries = checked_boundaries("flash_attention", call.cu_seqlens, call.tokens);
  struct Task {
    QueryRows queries;
    int64_t start;  // of its sequence
  };
  std::vector<Task> tasks;
  for (size_t s = 0; s + 1 < boundaries.size(); ++s) {
    const int64_t step = query_block(shape);
    for (int64_t at = boundaries[s]; at < boundaries[s + 1]; at += step) {
      for (int64_t g = 0; g < shape.kv_heads; ++g) {
        tasks.push_back(
            {{at, std::min(step, boundaries[s + 1] - at), at - boundaries[s], g}, boundaries[s]});
      }
    }
  }
  const auto row_bytes = shape.heads * shape.head_dim * static_cast<int64_t>(shape.element());
  clear_padding(call.out, boundaries.back(), call.tokens, row_bytes);
  clear_padding(call.lse, boundaries.back(), call.tokens,
                shape.heads * static_cast<int64_t>(sizeof(float)));
  const Isa isa = selected_isa();
  at::parallel_for(0, tasks.size(), /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const QueryRows& queries = tasks[i].queries;
      const int64_t row = tasks[i].start * shape.kv_heads + queries.kv_head;
      const auto offset = row * shape.head_dim * static_cast<int64_t>(shape.element());
      const int64_t stride = shape.kv_heads * shape.head_dim;
      attend(isa, shape, call.q, queries, {call.k + offset, stride}, {call.v + offset, stride},
             call.out, call.lse);
    }
  });
}

}  // namespace

std::tuple<at::Tensor, at::Tensor> flash_attention(const at::Tensor& q_in, const at::Tensor& k_in,
                                                   const at::Tensor& v_in,
                                                   const at::Tensor& cu_seqlens, double scale) {
  const AttentionShape shape = checked_shape("flash_attention", q_in, k_in, v_in, scale);
  const int64_t tokens = q_in.size(1);
  TORCH_CHECK(k_in.size(0) == 1 && k_in.size(1) == tokens, "samebits::flash_attention: k has sizes ",
              k_in.sizes(), ", expected [1, ", tokens, ", G, D]");
  checked_sequences("flash_attention", cu_seqlens);
  const at::Tensor starts = index_tensor(cu_seqlens);
  const at::Tensor q = q_in.contiguous();
  const at::Tensor k = k_in.contiguous();
  const at::Tensor v = v_in.contiguous();
  at::Tensor out = at::empty_like(q);
  at::Tensor lse = at::empty({1, tokens, shape.heads}, q.options().dtype(at::kFloat));
  const auto bytes = [](const at::Tensor& x) {
    return static_cast<const char*>(x.const_data_ptr());
  };
  launch(
      "flash_attention",
      [call = Call{shape, bytes(q), bytes(k), bytes(v), static_cast<char*>(out.mutable_data_ptr()),
                   lse.mutable_data_ptr<float>(), tokens, indices_of(starts)}] { run(call); });
  return {out, lse};
}

}  // namespace samebits::cpu

TORCH_LIBRARY_IMPL(samebits, CPU, m) { m.impl("flash_attention", samebits::cpu::flash_attention); }
