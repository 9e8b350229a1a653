// The loss and the optimizer on the card: see operators.cpp.

#include <optional>
#include <vector>

#include "harness/kernels/cuda/rows/arguments.h"
#include "harness/kernels/cuda/rows/launchers.h"

namespace samebits::cuda {
namespace {

// What the loss and its gradient read.
struct LossArguments {
  const at::Tensor &logprobs, &reference, &starts, &advantage, &tokens;
  int64_t sequences;
  float clip, entropy, kl;
};

Loss loss_of(const Call& call, const LossArguments& x) {
  call.expect(x.logprobs, "logprobs", at::kFloat);
  call.expect(x.reference, "reference", at::kFloat);
  const Sequences of_call = sequences_of(call, x.starts, x.logprobs.numel());
  call.expect(x.advantage, "advantage", at::kFloat);
  TORCH_CHECK(x.advantage.numel() == of_call.count, call.op(), ": advantage has shape ",
              x.advantage.sizes(), ", expected [", of_call.count, "]");
  call.expect(x.tokens, "tokens", at::kLong);
  TORCH_CHECK(x.sequences >= 1, call.op(), ": found ", x.sequences,
              " sequences, expected 1 or more");
  return {of_call,
          data_of<float>(x.logprobs),
          data_of<float>(x.reference),
          data_of<float>(x.advantage),
          data_of<int64_t>(x.tokens),
          static_cast<float>(x.sequences),
          1.0f - x.clip,
          1.0f + x.clip,
          x.entropy,
          x.kl};
}

void grpo_loss(Call& call, const at::Tensor& logprobs, const at::Tensor& reference,
               const at::Tensor& starts, const at::Tensor& advantage, const at::Tensor& tokens,
               int64_t sequences, float clip, float entropy, float kl) {
  const auto [loss, stats] = call.results<2>();
  cuda::grpo_loss(
      loss_of(call, {logprobs, reference, starts, advantage, tokens, sequences, clip, entropy, kl}),
      written<float>(loss), written<float>(stats), call.stream());
}

void grpo_loss_backward(Call& call, const at::Tensor& dloss, const at::Tensor& logprobs,
                        const at::Tensor& reference, const at::Tensor& starts,
                        const at::Tensor& advantage, const at::Tensor& tokens, int64_t sequences,
                        float clip, float entropy, float kl) {
  call.expect(dloss, "dloss", at::kFloat);
  cuda::grpo_loss_backward(
      loss_of(call, {logprobs, reference, starts, advantage, tokens, sequences, clip, entropy, kl}),
      data_of<float>(dloss), written<float>(call.result()), call.stream());
}

void sum_squares(Call& call, const at::Tensor& x, int64_t dim, int64_t slice) {
  TORCH_CHECK(slice >= 0, "sum_squares: found slice ", slice, ", expected 0 (one slice) or more");
  TORCH_CHECK(slice == 0 || (dim >= 0 && dim < x.dim()), "sum_squares: found dim ", dim,
              ", expected one in [0, ", x.dim(), ")");
  Squares size{1, x.numel(), 1, slice, call.is_bf16(x)};
  if (slice > 0) {
    size.outer = c10::multiply_integers(x.sizes().slice(0, dim));
    size.dim = x.size(dim);
    size.inner = c10::multiply_integers(x.sizes().slice(dim + 1));
  }
  cuda::sum_squares(size, data_of(x), written<float>(call.result()),
                    call.workspace(sum_squares_workspace(size)), call.stream());
}

void clip_scale(Call& call, const std::vector<at::Tensor>& squares, float clip_norm) {
  std::vector<const float*> each;
  for (const at::Tensor& square : squares) {
    TORCH_CHECK(square.scalar_type() == at::kFloat, "clip_scale: a square has dtype ",
                square.scalar_type(), ", expected Float");
    each.push_back(data_of<float>(square));
  }
  const auto [norm, scale] = call.results<2>();
  cuda::clip_scale(each.data(), static_cast<int64_t>(each.size()), clip_norm, written<float>(norm),
                   written<float>(scale), call.stream());
}

void adamw_(Call& call, const at::Tensor& weight, const std::optional<at::Tensor>& master,
            const at::Tensor& m, const at::Tensor& v, const at::Tensor& grad,
            const at::Tensor& scale, const at::Tensor& step, double lr, double beta1, double beta2,
            double eps, double weight_decay) {
  const bool has_master = master && master->defined();
  const bool bf16_state = call.is_bf16(m);
  call.expect_like(v, "v", m);
  if (has_master) call.expect(*master, "master", at::kFloat);
  call.expect(scale, "scale", at::kFloat);
  call.expect(step, "step", at::kLong);
  const bool float_grad = grad.scalar_type() == at::kFloat;
  if (!float_grad) call.expect_like(grad, "grad", weight);
  TORCH_CHECK(!bf16_state || (call.is_bf16(weight) && !float_grad && !has_master),
              "adamw_: moments in BFloat16 want weight and grad in BFloat16, and no master");
  cuda::adamw({weight.numel(), call.is_bf16(weight), float_grad, written(weight),
               has_master ? written<float>(*master) : nullptr, bf16_state, written(m), written(v),
               data_of(grad), data_of<float>(scale), data_of<int64_t>(step),
               AdamwSettings{lr, beta1, beta2, eps, weight_decay}},
              call.stream());
}

TORCH_LIBRARY_IMPL(samebits, CUDA, m) {
  m.impl("grpo_loss", kernel<grpo_loss>());
  m.impl("grpo_loss_backward", kernel<grpo_loss_backward>());
  m.impl("sum_squares", kernel<sum_squares>());
  m.impl("clip_scale", kernel<clip_scale>());
  m.impl("adamw_", kernel<adamw_, /*first=*/0, /*uncopied=*/4>());
}

}  // namespace
}  // namespace samebits::cuda
