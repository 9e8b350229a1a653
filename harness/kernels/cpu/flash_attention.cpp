// flash_attention over contiguous keys: shapes, tasks, registration.

#include "harness/kernels/flash_attention.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <algorithm>

#include "harness/kernels/cpu/flash_attention_parts.h"

namespace samebits::cpu {

std::tuple<at::Tensor, at::Tensor> flash_attention(const at::Tensor& q_in, const at::Tensor& k_in,
                                                   const at::Tensor& v_in,
                                                   const at::Tensor& cu_seqlens, double scale) {
  const AttentionShape shape = checked_shape("flash_attention", q_in, k_in, v_in, scale);
  const int64_t tokens = q_in.size(1);
  TORCH_CHECK(k_in.size(0) == 1 && k_in.size(1) == tokens, "samebits::flash_attention: k has sizes ",
              k_in.sizes(), ", expected [1, ", tokens, ", G, D]");
  checked_sequences("flash_attention", cu_seqlens);
  const at::Tensor starts_of = index_tensor(cu_seqlens);
  const auto boundaries =
      checked_boundaries("flash_attention", indices_of(starts_of), tokens, /*padded=*/false);
  const at::Tensor q = q_in.contiguous();
  const at::Tensor k = k_in.contiguous();
  const at::Tensor v = v_in.contiguous();
  at::Tensor out = at::empty_like(q);
  at::Tensor lse = at::empty({1, tokens, shape.heads}, q.options().dtype(at::kFloat));

  std::vector<QueryRows> blocks;
  std::vector<int64_t> starts;  // of each block's sequence
  for (size_t s = 0; s + 1 < boundaries.size(); ++s) {
    const int64_t step = query_block(shape);
    for (int64_t at = boundaries[s]; at < boundaries[s + 1]; at += step) {
      for (int64_t g = 0; g < shape.kv_heads; ++g) {
        blocks.push_back({at, std::min(step, boundaries[s + 1] - at), at - boundaries[s], g});
        starts.push_back(boundaries[s]);
      }
    }
  }
  const Isa isa = selected_isa();
  const auto* q_data = static_cast<const char*>(q.const_data_ptr());
  const auto* k_data = static_cast<const char*>(k.const_data_ptr());
  const auto* v_data = static_cast<const char*>(v.const_data_ptr());
  auto* out_data = static_cast<char*>(out.mutable_data_ptr());
  auto* lse_data = lse.mutable_data_ptr<float>();
  at::parallel_for(0, blocks.size(), /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = starts[i] * shape.kv_heads + blocks[i].kv_head;
      const auto offset = row * shape.head_dim * static_cast<int64_t>(shape.element());
      const int64_t stride = shape.kv_heads * shape.head_dim;
      attend(isa, shape, q_data, blocks[i], {k_data + offset, stride}, {v_data + offset, stride},
             out_data, lse_data);
    }
  });
  return {out, lse};
}

}  // namespace samebits::cpu

TORCH_LIBRARY_IMPL(samebits, CPU, m) { m.impl("flash_attention", samebits::cpu::flash_attention); }
