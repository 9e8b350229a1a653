#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <tuple>

// The contract list as C++ functions. Each one calls its operator through the dispatcher, so that
// autograd, DTensor, a tracer or an observer may stand between the call and the kernel. Schemas,
// shapes and dtypes: ops/NAME.cpp; the arithmetic: NAME.h.
namespace samebits::ops {

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, int64_t slice, int64_t dgrad_slice,
                  at::ScalarType out_dtype);
at::Tensor linear_dgrad(const at::Tensor& dy, const at::Tensor& weight, int64_t slice);
void linear_wgrad_(const at::Tensor& dy, const at::Tensor& x,
                   const std::optional<at::Tensor>& starts, const at::Tensor& sum);

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, bool fused_rounding);
at::Tensor rms_norm_dgrad(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                          double eps);
void rms_norm_wgrad_(const at::Tensor& dy, const at::Tensor& x, double eps,
                     const std::optional<at::Tensor>& starts, const at::Tensor& sum);

at::Tensor rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                const at::Tensor& positions, bool inverse);

std::tuple<at::Tensor, at::Tensor> rms_norm_rope(const at::Tensor& x, const at::Tensor& weight,
                                                 double eps, const at::Tensor& cos,
                                                 const at::Tensor& sin,
                                                 const at::Tensor& positions);

at::Tensor silu_mul(const at::Tensor& gate, const at::Tensor& up, bool fused_rounding);
std::tuple<at::Tensor, at::Tensor> silu_mul_backward(const at::Tensor& dy, const at::Tensor& gate,
                                                     const at::Tensor& up);

at::Tensor residual_add(const at::Tensor& x, const at::Tensor& y);
std::tuple<at::Tensor, at::Tensor> residual_rms_norm(const at::Tensor& x, const at::Tensor& y,
                                                     const at::Tensor& weight, double eps);

std::tuple<at::Tensor, at::Tensor> linear_residual_add(const at::Tensor& x,
                                                       const at::Tensor& weight, int64_t slice,
                                                       at::ScalarType out_dtype,
                                                       const at::Tensor& residual);
std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> rms_norm_linear_qkv(
    const at::Tensor& x, const at::Tensor& norm_weight, double eps, const at::Tensor& wq,
    const at::Tensor& wk, const at::Tensor& wv, at::ScalarType out_dtype);
std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> rms_norm_linear_silu_mul(
    const at::Tensor& x, const at::Tensor& norm_weight, double eps, const at::Tensor& gate_weight,
    const at::Tensor& up_weight, at::ScalarType out_dtype);

at::Tensor embedding(const at::Tensor& ids, const at::Tensor& weight, int64_t first_row);
void embedding_wgrad_(const at::Tensor& dy, const at::Tensor& ids, int64_t first_row,
                      const std::optional<at::Tensor>& starts, const at::Tensor& sum);
void tied_wgrad_(const at::Tensor& dy, const at::Tensor& ids, int64_t first_row,
                 const at::Tensor& starts, const at::Tensor& dlogits, const at::Tensor& h,
                 const at::Tensor& row_starts, const at::Tensor& sum, const at::Tensor& head_sum);

std::tuple<at::Tensor, at::Tensor> flash_attention(const at::Tensor& q, const at::Tensor& k,
                                                   const at::Tensor& v,
                                                   const at::Tensor& cu_seqlens, double scale);
std::tuple<at::Tensor, at::Tensor, at::Tensor> flash_attention_backward(
    const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
    const at::Tensor& out, const at::Tensor& lse, const at::Tensor& cu_seqlens, double scale);
at::Tensor paged_attention(const at::Tensor& q, const at::Tensor& k_cache,
                           const at::Tensor& v_cache, const at::Tensor& block_table,
                           const at::Tensor& cu_seqlens, const at::Tensor& seq_lens, double scale);
void write_kv(const at::Tensor& k_cache, const at::Tensor& v_cache, const at::Tensor& k,
              const at::Tensor& v, const at::Tensor& slots);
std::tuple<at::Tensor, at::Tensor> rms_norm_rope_write_kv_(
    const at::Tensor& x, const at::Tensor& weight, double eps, const at::Tensor& cos,
    const at::Tensor& sin, const at::Tensor& positions, const at::Tensor& k_cache,
    const at::Tensor& v_cache, const at::Tensor& v, const at::Tensor& slots);

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> rms_norm_rope_qk_write_kv_(
    const at::Tensor& q, const at::Tensor& q_weight, const at::Tensor& k,
    const at::Tensor& k_weight, double eps, const at::Tensor& cos, const at::Tensor& sin,
    const at::Tensor& positions, const at::Tensor& k_cache, const at::Tensor& v_cache,
    const at::Tensor& v, const at::Tensor& slots);
std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor>
rms_norm_rope_paged_attention_(const at::Tensor& q, const at::Tensor& q_weight, const at::Tensor& k,
                               const at::Tensor& k_weight, double eps, const at::Tensor& cos,
                               const at::Tensor& sin, const at::Tensor& positions,
                               const at::Tensor& k_cache, const at::Tensor& v_cache,
                               const at::Tensor& v, const at::Tensor& slots,
                               const at::Tensor& block_table, const at::Tensor& cu_seqlens,
                               const at::Tensor& seq_lens, double scale);

std::tuple<at::Tensor, at::Tensor> log_softmax_gather(const at::Tensor& logits,
                                                      const at::Tensor& targets, int64_t vocab);
at::Tensor log_softmax_gather_backward(const at::Tensor& dlogprob, const at::Tensor& logits,
                                       const at::Tensor& targets, const at::Tensor& lse,
                                       int64_t vocab);

std::tuple<at::Tensor, at::Tensor> sample(const at::Tensor& logits, const at::Tensor& keys,
                                          int64_t vocab, int64_t seed, double temperature,
                                          int64_t top_k, double top_p);

std::tuple<at::Tensor, at::Tensor> grpo_loss(const at::Tensor& logprobs,
                                             const at::Tensor& reference, const at::Tensor& starts,
                                             const at::Tensor& advantage, const at::Tensor& tokens,
                                             int64_t sequences, double clip, double entropy,
                                             double kl);
at::Tensor grpo_loss_backward(const at::Tensor& dloss, const at::Tensor& logprobs,
                              const at::Tensor& reference, const at::Tensor& starts,
                              const at::Tensor& advantage, const at::Tensor& tokens,
                              int64_t sequences, double clip, double entropy, double kl);

at::Tensor sum_squares(const at::Tensor& x, int64_t dim, int64_t slice);

std::tuple<at::Tensor, at::Tensor> clip_scale(at::TensorList squares, double clip_norm);

void adamw_(const at::Tensor& weight, const std::optional<at::Tensor>& master, const at::Tensor& m,
            const at::Tensor& v, const at::Tensor& grad, const at::Tensor& scale,
            const at::Tensor& step, double lr, double beta1, double beta2, double eps,
            double weight_decay);

at::Tensor digest_sums(const at::Tensor& x);
at::Tensor digest_rows(at::TensorList values, at::IntArrayRef widths, at::IntArrayRef rows,
                       const at::Tensor& sizes);

void mark(const at::Tensor& x, const std::string& site);

}  // namespace samebits::ops
