#include "harness/kernels/functional.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <utility>

#include "harness/dispatch/device_error.h"

namespace samebits::ops {
namespace {

// An operator that is named where it fails on a card.
template <typename Signature>
class Operator;
template <typename Result, typename... Args>
class Operator<Result(Args...)> {
 public:
  explicit Operator(const c10::TypedOperatorHandle<Result(Args...)>& handle) : handle_(handle) {}
  Result call(Args... args) const {
    return naming_operator(handle_,
                           [&]() -> Result { return handle_.call(std::forward<Args>(args)...); });
  }

 private:
  c10::TypedOperatorHandle<Result(Args...)> handle_;
};

// Looks an operator up once; `Signature` is checked against its schema at the first call.
template <typename Signature>
Operator<Signature> find(const char* name) {
  return Operator<Signature>(
      c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>());
}

}  // namespace

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, int64_t slice, int64_t dgrad_slice,
                  at::ScalarType out_dtype) {
  static const auto op =
      find<at::Tensor(const at::Tensor&, const at::Tensor&, int64_t, int64_t, at::ScalarType)>(
          "samebits::linear");
  return op.call(x, weight, slice, dgrad_slice, out_dtype);
}

at::Tensor linear_dgrad(const at::Tensor& dy, const at::Tensor& weight, int64_t slice) {
  static const auto op =
      find<at::Tensor(const at::Tensor&, const at::Tensor&, int64_t)>("samebits::linear_dgrad");
  return op.call(dy, weight, slice);
}

at::Tensor linear_wgrad(const at::Tensor& dy, const at::Tensor& x) {
  static const auto op =
      find<at::Tensor(const at::Tensor&, const at::Tensor&)>("samebits::linear_wgrad");
  return op.call(dy, x);
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                    bool fused_rounding) {
  static const auto op =
      find<at::Tensor(const at::Tensor&, const at::Tensor&, double, bool)>("samebits::rms_norm");
  return op.call(x, weight, eps, fused_rounding);
}

at::Tensor rms_norm_dgrad(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                          double eps) {
  static const auto op =
      find<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, double)>(
          "samebits::rms_norm_dgrad");
  return op.call(dy, x, weight, eps);
}

at::Tensor rms_norm_wgrad(const at::Tensor& dy, const at::Tensor& x, double eps) {
  static const auto op =
      find<at::Tensor(const at::Tensor&, const at::Tensor&, double)>("samebits::rms_norm_wgrad");
  return op.call(dy, x, eps);
}

at::Tensor rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                const at::Tensor& positions, bool inverse) {
  static const auto op = find<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&,
                                         const at::Tensor&, bool)>("samebits::rope");
  return op.call(x, cos, sin, positions, inverse);
}

std::tuple<at::Tensor, at::Tensor> rms_norm_rope(const at::Tensor& x, const at::Tensor& weight,
                                                 double eps, const at::Tensor& cos,
                                                 const at::Tensor& sin,
                                                 const at::Tensor& positions) {
  static const auto op = find<std::tuple<at::Tensor, at::Tensor>(
      const at::Tensor&, const at::Tensor&, double, const at::Tensor&, const at::Tensor&,
      const at::Tensor&)>("samebits::rms_norm_rope");
  return op.call(x, weight, eps, cos, sin, positions);
}

at::Tensor silu_mul(const at::Tensor& gate, const at::Tensor& up, bool fused_rounding) {
  static const auto op =
      find<at::Tensor(const at::Tensor&, const at::Tensor&, bool)>("samebits::silu_mul");
  return op.call(gate, up, fused_rounding);
}

std::tuple<at::Tensor, at::Tensor> silu_mul_backward(const at::Tensor& dy, const at::Tensor& gate,
                                                     const at::Tensor& up) {
  static const auto op = find<std::tuple<at::Tensor, at::Tensor>(
      const at::Tensor&, const at::Tensor&, const at::Tensor&)>("samebits::silu_mul_backward");
  return op.call(dy, gate, up);
}

at::Tensor residual_add(const at::Tensor& x, const at::Tensor& y) {
  static const auto op =
      find<at::Tensor(const at::Tensor&, const at::Tensor&)>("samebits::residual_add");
  return op.call(x, y);
}

std::tuple<at::Tensor, at::Tensor> residual_rms_norm(const at::Tensor& x, const at::Tensor& y,
                                                     const at::Tensor& weight, double eps) {
  static const auto op = find<std::tuple<at::Tensor, at::Tensor>(
      const at::Tensor&, const at::Tensor&, const at::Tensor&, double)>(
      "samebits::residual_rms_norm");
  return op.call(x, y, weight, eps);
}

std::tuple<at::Tensor, at::Tensor> linear_residual_add(const at::Tensor& x,
                                                       const at::Tensor& weight, int64_t slice,
                                                       at::ScalarType out_dtype,
                                                       const at::Tensor& residual) {
  static const auto op = find<std::tuple<at::Tensor, at::Tensor>(
      const at::Tensor&, const at::Tensor&, int64_t, at::ScalarType, const at::Tensor&)>(
      "samebits::linear_residual_add");
  return op.call(x, weight, slice, out_dtype, residual);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> rms_norm_linear_qkv(
    const at::Tensor& x, const at::Tensor& norm_weight, double eps, const at::Tensor& wq,
    const at::Tensor& wk, const at::Tensor& wv, at::ScalarType out_dtype) {
  static const auto op = find<std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor>(
      const at::Tensor&, const at::Tensor&, double, const at::Tensor&, const at::Tensor&,
      const at::Tensor&, at::ScalarType)>("samebits::rms_norm_linear_qkv");
  return op.call(x, norm_weight, eps, wq, wk, wv, out_dtype);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> rms_norm_linear_silu_mul(
    const at::Tensor& x, const at::Tensor& norm_weight, double eps, const at::Tensor& gate_weight,
    const at::Tensor& up_weight, at::ScalarType out_dtype) {
  static const auto op = find<std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor>(
      const at::Tensor&, const at::Tensor&, double, const at::Tensor&, const at::Tensor&,
      at::ScalarType)>("samebits::rms_norm_linear_silu_mul");
  return op.call(x, norm_weight, eps, gate_weight, up_weight, out_dtype);
}

at::Tensor embedding(const at::Tensor& ids, const at::Tensor& weight, int64_t first_row) {
  static const auto op =
      find<at::Tensor(const at::Tensor&, const at::Tensor&, int64_t)>("samebits::embedding");
  return op.call(ids, weight, first_row);
}

at::Tensor embedding_wgrad(const at::Tensor& dy, const at::Tensor& ids, const at::Tensor& weight,
                           int64_t first_row) {
  static const auto op =
      find<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, int64_t)>(
          "samebits::embedding_wgrad");
  return op.call(dy, ids, weight, first_row);
}

std::tuple<at::Tensor, at::Tensor> flash_attention(const at::Tensor& q, const at::Tensor& k,
                                                   const at::Tensor& v,
                                                   const at::Tensor& cu_seqlens, double scale) {
  static const auto op = find<std::tuple<at::Tensor, at::Tensor>(
      const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, double)>(
      "samebits::flash_attention");
  return op.call(q, k, v, cu_seqlens, scale);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> flash_attention_backward(
    const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
    const at::Tensor& out, const at::Tensor& lse, const at::Tensor& cu_seqlens, double scale) {
  static const auto op = find<std::tuple<at::Tensor, at::Tensor, at::Tensor>(
      const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
      const at::Tensor&, const at::Tensor&, double)>("samebits::flash_attention_backward");
  return op.call(dout, q, k, v, out, lse, cu_seqlens, scale);
}

at::Tensor paged_attention(const at::Tensor& q, const at::Tensor& k_cache,
                           const at::Tensor& v_cache, const at::Tensor& block_table,
                           const at::Tensor& cu_seqlens, const at::Tensor& seq_lens, double scale) {
  static const auto op =
      find<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                      const at::Tensor&, const at::Tensor&, double)>("samebits::paged_attention");
  return op.call(q, k_cache, v_cache, block_table, cu_seqlens, seq_lens, scale);
}

void write_kv(const at::Tensor& k_cache, const at::Tensor& v_cache, const at::Tensor& k,
              const at::Tensor& v, const at::Tensor& slots) {
  static const auto op = find<void(const at::Tensor&, const at::Tensor&, const at::Tensor&,
                                   const at::Tensor&, const at::Tensor&)>("samebits::write_kv");
  op.call(k_cache, v_cache, k, v, slots);
}

std::tuple<at::Tensor, at::Tensor> rms_norm_rope_write_kv_(
    const at::Tensor& x, const at::Tensor& weight, double eps, const at::Tensor& cos,
    const at::Tensor& sin, const at::Tensor& positions, const at::Tensor& k_cache,
    const at::Tensor& v_cache, const at::Tensor& v, const at::Tensor& slots) {
  static const auto op = find<std::tuple<at::Tensor, at::Tensor>(
      const at::Tensor&, const at::Tensor&, double, const at::Tensor&, const at::Tensor&,
      const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
      const at::Tensor&)>("samebits::rms_norm_rope_write_kv_");
  return op.call(x, weight, eps, cos, sin, positions, k_cache, v_cache, v, slots);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> rms_norm_rope_qk_write_kv_(
    const at::Tensor& q, const at::Tensor& q_weight, const at::Tensor& k,
    const at::Tensor& k_weight, double eps, const at::Tensor& cos, const at::Tensor& sin,
    const at::Tensor& positions, const at::Tensor& k_cache, const at::Tensor& v_cache,
    const at::Tensor& v, const at::Tensor& slots) {
  static const auto op = find<std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor>(
      const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, double,
      const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
      const at::Tensor&, const at::Tensor&)>("samebits::rms_norm_rope_qk_write_kv_");
  return op.call(q, q_weight, k, k_weight, eps, cos, sin, positions, k_cache, v_cache, v, slots);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor>
rms_norm_rope_paged_attention_(const at::Tensor& q, const at::Tensor& q_weight, const at::Tensor& k,
                               const at::Tensor& k_weight, double eps, const at::Tensor& cos,
                               const at::Tensor& sin, const at::Tensor& positions,
                               const at::Tensor& k_cache, const at::Tensor& v_cache,
                               const at::Tensor& v, const at::Tensor& slots,
                               const at::Tensor& block_table, const at::Tensor& cu_seqlens,
                               const at::Tensor& seq_lens, double scale) {
  using T = const at::Tensor&;
  static const auto op =
      find<std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor>(
          T, T, T, T, double, T, T, T, T, T, T, T, T, T, T, double)>(
          "samebits::rms_norm_rope_paged_attention_");
  return op.call(q, q_weight, k, k_weight, eps, cos, sin, positions, k_cache, v_cache, v, slots,
                 block_table, cu_seqlens, seq_lens, scale);
}

std::tuple<at::Tensor, at::Tensor> log_softmax_gather(const at::Tensor& logits,
                                                      const at::Tensor& targets, int64_t vocab) {
  static const auto op =
      find<std::tuple<at::Tensor, at::Tensor>(const at::Tensor&, const at::Tensor&, int64_t)>(
          "samebits::log_softmax_gather");
  return op.call(logits, targets, vocab);
}

at::Tensor log_softmax_gather_backward(const at::Tensor& dlogprob, const at::Tensor& logits,
                                       const at::Tensor& targets, const at::Tensor& lse,
                                       int64_t vocab) {
  static const auto op =
      find<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                      int64_t)>("samebits::log_softmax_gather_backward");
  return op.call(dlogprob, logits, targets, lse, vocab);
}

std::tuple<at::Tensor, at::Tensor> sample(const at::Tensor& logits, const at::Tensor& keys,
                                          int64_t vocab, int64_t seed, double temperature,
                                          int64_t top_k, double top_p) {
  static const auto op = find<std::tuple<at::Tensor, at::Tensor>(
      const at::Tensor&, const at::Tensor&, int64_t, int64_t, double, int64_t, double)>(
      "samebits::sample");
  return op.call(logits, keys, vocab, seed, temperature, top_k, top_p);
}

std::tuple<at::Tensor, at::Tensor> grpo_loss(const at::Tensor& logprobs,
                                             const at::Tensor& reference,
                                             const at::Tensor& advantage, const at::Tensor& tokens,
                                             int64_t sequences, double clip, double entropy,
                                             double kl) {
  static const auto op = find<std::tuple<at::Tensor, at::Tensor>(
      const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, int64_t, double,
      double, double)>("samebits::grpo_loss");
  return op.call(logprobs, reference, advantage, tokens, sequences, clip, entropy, kl);
}

at::Tensor grpo_loss_backward(const at::Tensor& dloss, const at::Tensor& logprobs,
                              const at::Tensor& reference, const at::Tensor& advantage,
                              const at::Tensor& tokens, int64_t sequences, double clip,
                              double entropy, double kl) {
  static const auto op =
      find<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                      const at::Tensor&, int64_t, double, double, double)>(
          "samebits::grpo_loss_backward");
  return op.call(dloss, logprobs, reference, advantage, tokens, sequences, clip, entropy, kl);
}

at::Tensor sum_squares(const at::Tensor& x, int64_t dim, int64_t slice) {
  static const auto op =
      find<at::Tensor(const at::Tensor&, int64_t, int64_t)>("samebits::sum_squares");
  return op.call(x, dim, slice);
}

std::tuple<at::Tensor, at::Tensor> clip_scale(at::TensorList squares, double clip_norm) {
  static const auto op =
      find<std::tuple<at::Tensor, at::Tensor>(at::TensorList, double)>("samebits::clip_scale");
  return op.call(squares, clip_norm);
}

void adamw_(const at::Tensor& weight, const std::optional<at::Tensor>& master, const at::Tensor& m,
            const at::Tensor& v, const at::Tensor& grad, const at::Tensor& scale,
            const at::Tensor& step, double lr, double beta1, double beta2, double eps,
            double weight_decay) {
  static const auto op =
      find<void(const at::Tensor&, const std::optional<at::Tensor>&, const at::Tensor&,
                const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, double,
                double, double, double, double)>("samebits::adamw_");
  op.call(weight, master, m, v, grad, scale, step, lr, beta1, beta2, eps, weight_decay);
}

at::Tensor digest_sums(const at::Tensor& x) {
  static const auto op = find<at::Tensor(const at::Tensor&)>("samebits::digest_sums");
  return op.call(x);
}

at::Tensor digest_rows(at::TensorList values, at::IntArrayRef widths, at::IntArrayRef rows,
                       const at::Tensor& sizes) {
  static const auto op =
      find<at::Tensor(at::TensorList, at::IntArrayRef, at::IntArrayRef, const at::Tensor&)>(
          "samebits::digest_rows");
  return op.call(values, widths, rows, sizes);
}

void mark(const at::Tensor& x, const std::string& site) {
  static const auto op = find<void(const at::Tensor&, c10::string_view)>("samebits::mark");
  op.call(x, site);
}

}  // namespace samebits::ops
