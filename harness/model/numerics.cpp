#include "harness/model/numerics.h"

#include <ATen/ATen.h>

#include "harness/kernels/functional.h"

namespace samebits {
namespace {

// q, k, v of one sequence: [1, L, heads, D] each, q holding its last rows. Plain LibTorch.
at::Tensor plain_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           double scale) {
  const int64_t queries = q.size(1);
  const int64_t keys = k.size(1);
  // Query i stands at position keys - queries + i, so SDPA's own causal flag fits only a square.
  const at::Tensor mask =
      at::ones({queries, keys}, q.options().dtype(at::kBool)).tril(keys - queries);
  return at::scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2),
                                          mask, /*dropout_p=*/0.0, /*is_causal=*/false, scale,
                                          /*enable_gqa=*/true)
      .transpose(1, 2)
      .contiguous();
}

}  // namespace

at::Tensor Numerics::linear(const at::Tensor& x, const at::Tensor& weight, LinearStyle style,
                            int64_t in_features, int64_t out_features, RowSum sum,
                            const WeightGradient& into) const {
  const bool row = style == LinearStyle::kRow;
  if (!contract) return at::linear(x, weight);
  const int64_t slice = tp_invariant && row ? in_features / kSlices : 0;
  const int64_t dgrad_slice = tp_invariant && !row ? out_features / kSlices : 0;
  return ops::linear(x, weight, slice, dgrad_slice,
                     row && sum == RowSum::kPending ? at::kFloat : dtype, into);
}

at::Tensor Numerics::head(const at::Tensor& x, const at::Tensor& weight,
                          const WeightGradient& into) const {
  if (float32_head && !contract) return at::linear(x.to(at::kFloat), weight.to(at::kFloat));
  Numerics of_head = *this;
  if (float32_head) of_head.dtype = at::kFloat;  // of the result; the operands stay as they are
  return of_head.linear(x, weight, LinearStyle::kColumn, weight.size(1), weight.size(0),
                        RowSum::kPending, into);
}

at::Tensor Numerics::rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                              const WeightGradient& into) const {
  if (!contract) return at::rms_norm(x, {weight.size(0)}, weight, eps);
  return ops::rms_norm(x, weight, eps, fused_rounding, into);
}

at::Tensor Numerics::rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                          const at::Tensor& positions) const {
  if (contract) return ops::rope(x, cos, sin, positions, /*inverse=*/false);
  const at::Tensor c = cos.index_select(0, positions.view(-1)).unsqueeze(0).unsqueeze(2);
  const at::Tensor s = sin.index_select(0, positions.view(-1)).unsqueeze(0).unsqueeze(2);
  const std::vector<at::Tensor> halves = x.chunk(2, -1);
  return at::cat({halves[0] * c - halves[1] * s, halves[1] * c + halves[0] * s}, -1).to(dtype);
}

at::Tensor Numerics::silu_mul(const at::Tensor& gate, const at::Tensor& up) const {
  if (!contract) return at::silu(gate) * up;
  return ops::silu_mul(gate, up, fused_rounding);
}

at::Tensor Numerics::residual_add(const at::Tensor& x, const at::Tensor& y) const {
  return contract ? ops::residual_add(x, y) : x + y;
}

at::Tensor Numerics::embedding(const at::Tensor& ids, const at::Tensor& weight,
                               const WeightGradient& into) const {
  if (!contract) return at::embedding(weight, ids);
  return ops::embedding(ids, weight, /*first_row=*/0, into);
}

at::Tensor Numerics::flash_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                     const at::Tensor& cu_seqlens, double scale) const {
  if (flash) return std::get<0>(ops::flash_attention(q, k, v, cu_seqlens, scale));
  const at::Tensor starts_here = cu_seqlens.cpu();
  const auto starts = starts_here.accessor<int32_t, 1>();
  std::vector<at::Tensor> out;
  for (int64_t s = 0; s + 1 < starts.size(0); ++s) {
    const int64_t length = starts[s + 1] - starts[s];
    out.push_back(plain_attention(q.narrow(1, starts[s], length), k.narrow(1, starts[s], length),
                                  v.narrow(1, starts[s], length), scale));
  }
  return at::cat(out, 1);
}

at::Tensor Numerics::paged_attention(const at::Tensor& q, const at::Tensor& k_cache,
                                     const at::Tensor& v_cache, const at::Tensor& block_table,
                                     const at::Tensor& cu_seqlens, const at::Tensor& seq_lens,
                                     double scale) const {
  if (flash) {
    return ops::paged_attention(q, k_cache, v_cache, block_table, cu_seqlens, seq_lens, scale);
  }
  const at::Tensor starts_here = cu_seqlens.cpu();
  const auto starts = starts_here.accessor<int32_t, 1>();
  const at::Tensor lengths_here = seq_lens.cpu();
  const auto lengths = lengths_here.accessor<int32_t, 1>();
  const int64_t block_size = k_cache.size(1);
  std::vector<at::Tensor> out;
  for (int64_t s = 0; s < seq_lens.size(0); ++s) {
    const int64_t blocks = (lengths[s] + block_size - 1) / block_size;
    const at::Tensor pages = block_table[s].narrow(0, 0, blocks);
    const auto gather = [&](const at::Tensor& cache) {
      return cache.index_select(0, pages).flatten(0, 1).narrow(0, 0, lengths[s]).unsqueeze(0);
    };
    out.push_back(plain_attention(q.narrow(1, starts[s], starts[s + 1] - starts[s]),
                                  gather(k_cache), gather(v_cache), scale));
  }
  return at::cat(out, 1);
}

at::Tensor Numerics::log_softmax_gather(const at::Tensor& logits, const at::Tensor& targets,
                                        int64_t vocab) const {
  if (contract) return std::get<0>(ops::log_softmax_gather(logits, targets, vocab));
  return at::log_softmax(logits.narrow(-1, 0, vocab).to(at::kFloat), -1)
      .gather(-1, targets.unsqueeze(-1))
      .squeeze(-1);
}

Numerics numerics_from_settings(const NumericsSettings& settings) {
  Numerics numerics;
  numerics.dtype = settings.dtype == Dtype::float32 ? at::kFloat : at::kBFloat16;
  numerics.contract = settings.batch_invariant;
  numerics.flash = settings.batch_invariant && settings.attention == AttentionKernel::kFlash;
  numerics.tp_invariant = settings.tp_invariant;
  numerics.fused_rounding = settings.fused_rounding;
  numerics.float32_head = settings.float32_head;
  return numerics;
}

}  // namespace samebits
