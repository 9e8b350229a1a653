// The loss and the optimizer on the card: see operators.cpp.

#include <vector>

#include "harness/kernels/cuda/rows/arguments.h"
#include "harness/kernels/cuda/rows/launchers.h"

namespace samebits::cuda {
namespace {

// Arguments from `first` on: logprobs, reference, starts, advantage, tokens, sequences, clip,
// entropy, kl.
Loss loss(const Call& call, size_t first) {
  call.expect(first, "logprobs", at::kFloat);
  call.expect(first + 1, "reference", at::kFloat);
  const Sequences of_call = sequences_of(call, first + 2, call.tensor(first).numel());
  call.expect(first + 3, "advantage", at::kFloat);
  TORCH_CHECK(call.tensor(first + 3).numel() == of_call.count, call.op(), ": advantage has shape ",
              call.tensor(first + 3).sizes(), ", expected [", of_call.count, "]");
  call.expect(first + 4, "tokens", at::kLong);
  const int64_t sequences = call.integer(first + 5);
  TORCH_CHECK(sequences >= 1, call.op(), ": found ", sequences, " sequences, expected 1 or more");
  const float clip = call.real(first + 6);
  return {of_call,
          call.data<float>(first),
          call.data<float>(first + 1),
          call.data<float>(first + 3),
          call.data<int64_t>(first + 4),
          static_cast<float>(sequences),
          1.0f - clip,
          1.0f + clip,
          call.real(first + 7),
          call.real(first + 8)};
}

void grpo_loss(Call& call) {
  cuda::grpo_loss(loss(call, 0), call.result<float>(0), call.result<float>(1), call.stream());
}

void grpo_loss_backward(Call& call) {
  call.expect(0, "dloss", at::kFloat);
  cuda::grpo_loss_backward(loss(call, 1), call.data<float>(0), call.result<float>(0),
                           call.stream());
}

void sum_squares(Call& call) {
  const at::Tensor& x = call.tensor(0);
  const int64_t dim = call.integer(1);
  const int64_t slice = call.integer(2);
  TORCH_CHECK(slice >= 0, "sum_squares: found slice ", slice, ", expected 0 (one slice) or more");
  TORCH_CHECK(slice == 0 || (dim >= 0 && dim < x.dim()), "sum_squares: found dim ", dim,
              ", expected one in [0, ", x.dim(), ")");
  Squares size{1, x.numel(), 1, slice, call.is_bf16(0)};
  if (slice > 0) {
    size.outer = c10::multiply_integers(x.sizes().slice(0, dim));
    size.dim = x.size(dim);
    size.inner = c10::multiply_integers(x.sizes().slice(dim + 1));
  }
  cuda::sum_squares(size, call.data(0), call.result<float>(0),
                    call.workspace(sum_squares_workspace(size)), call.stream());
}

void clip_scale(Call& call) {
  std::vector<const float*> squares;
  for (const at::Tensor& square : call.arg(0).toTensorVector()) {
    TORCH_CHECK(square.scalar_type() == at::kFloat, "clip_scale: a square has dtype ",
                square.scalar_type(), ", expected Float");
    squares.push_back(square.const_data_ptr<float>());
  }
  cuda::clip_scale(squares.data(), static_cast<int64_t>(squares.size()), call.real(1),
                   call.result<float>(0), call.result<float>(1), call.stream());
}

void adamw(Call& call) {
  const bool has_master = call.arg(1).isTensor();
  const bool bf16_state = call.is_bf16(2);
  call.expect(2, "m", bf16_state ? at::kBFloat16 : at::kFloat);
  call.expect(3, "v", bf16_state ? at::kBFloat16 : at::kFloat);
  if (has_master) call.expect(1, "master", at::kFloat);
  call.expect(5, "scale", at::kFloat);
  call.expect(6, "step", at::kLong);
  const bool float_grad = call.tensor(4).scalar_type() == at::kFloat;
  if (!float_grad) call.expect_like(4, "grad", 0);
  TORCH_CHECK(!bf16_state || (call.is_bf16(0) && !float_grad && !has_master),
              "adamw_: moments in BFloat16 want weight and grad in BFloat16, and no master");
  cuda::adamw({call.tensor(0).numel(), call.is_bf16(0), float_grad, call.data(0),
               has_master ? call.data<float>(1) : nullptr, bf16_state, call.data(2), call.data(3),
               call.data(4), call.data<float>(5), call.data<int64_t>(6),
               AdamwSettings{call.arg(7).toDouble(), call.arg(8).toDouble(), call.arg(9).toDouble(),
                             call.arg(10).toDouble(), call.arg(11).toDouble()}},
              call.stream());
}

TORCH_LIBRARY_IMPL(samebits, CUDA, m) {
  m.impl("grpo_loss", kernel<grpo_loss>());
  m.impl("grpo_loss_backward", kernel<grpo_loss_backward>());
  m.impl("sum_squares", kernel<sum_squares>());
  m.impl("clip_scale", kernel<clip_scale>());
  m.impl("adamw_", kernel<adamw, /*first=*/0, /*uncopied=*/4>());
}

}  // namespace
}  // namespace samebits::cuda
