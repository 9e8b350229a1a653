#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "harness/kernels/weight_gradient.h"
#include "harness/model/numerics_settings.h"

namespace samebits {

// What tensor parallelism does to a linear layer. It decides where sums are cut, at every TP
// degree, so that the degree itself cannot move a bit.
enum class LinearStyle {
  kColumn,  // output features are split: the input gradient is a sum over them
  kRow,     // input features are split: the output is a sum over them
};

// What a rank has of a kRow layer's sums.
enum class RowSum {
  kPending,  // a part: float32, which is rounded once it is whole
  kWhole,    // all of it
};

// Which arithmetic serves each operator. A value: part of a case, handed to the model when it is
// built. `contract` calls the samebits:: operators, whose bits depend on a row's inputs alone;
// otherwise plain LibTorch kernels, which promise nothing of the kind.
struct Numerics {
  at::ScalarType dtype = at::kBFloat16;
  bool contract = true;
  bool flash = true;  // the contract's attention; false: LibTorch's scaled_dot_product_attention
  bool tp_invariant = true;
  bool fused_rounding = false;  // skip the roundings that a fusing compiler would skip
  bool float32_head = false;

  static constexpr int64_t kSlices = 8;  // the largest TP degree that keeps the bits

  // x [..., K], weight [N, K] -> [..., N] in `dtype`. Of kRow, a pending sum is float32: the caller
  // reduces it and rounds to `dtype` after, which gives the bits of a whole one. `into`: where the
  // backward brings the weight's gradient; plain LibTorch kernels leave it to autograd.
  at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, LinearStyle style,
                    int64_t in_features, int64_t out_features, RowSum sum = RowSum::kPending,
                    const WeightGradient& into = {}) const;
  // The last linear layer, a kColumn one: logits in `dtype`; with float32_head in float32, the sums
  // as they are. Its backward is that of linear, which rounds the logits' gradient to `dtype`.
  at::Tensor head(const at::Tensor& x, const at::Tensor& weight,
                  const WeightGradient& into = {}) const;
  at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                      const WeightGradient& into = {}) const;
  at::Tensor rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                  const at::Tensor& positions) const;
  at::Tensor silu_mul(const at::Tensor& gate, const at::Tensor& up) const;
  at::Tensor residual_add(const at::Tensor& x, const at::Tensor& y) const;
  at::Tensor embedding(const at::Tensor& ids, const at::Tensor& weight,
                       const WeightGradient& into = {}) const;
  at::Tensor flash_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                             const at::Tensor& cu_seqlens, double scale) const;
  at::Tensor paged_attention(const at::Tensor& q, const at::Tensor& k_cache,
                             const at::Tensor& v_cache, const at::Tensor& block_table,
                             const at::Tensor& cu_seqlens, const at::Tensor& seq_lens,
                             double scale) const;
  // float32 logprobs of `targets` under the first `vocab` columns of logits.
  at::Tensor log_softmax_gather(const at::Tensor& logits, const at::Tensor& targets,
                                int64_t vocab) const;
};

Numerics numerics_from_settings(const NumericsSettings& settings);

}  // namespace samebits
