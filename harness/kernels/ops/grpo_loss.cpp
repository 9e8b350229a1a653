#include "harness/kernels/grpo_loss.h"

#include "harness/kernels/functional.h"
#include "harness/kernels/ops/gradient.h"
#include "harness/kernels/ops/operator.h"
#include "harness/kernels/ops/shapes.h"

namespace samebits {
namespace {

// args[first...]: logprobs, reference, starts, advantage, tokens. Gives the number of sequences. That
// of `starts` is one more: sizes that symbols of a graph do not relate, so the kernel compares them.
c10::SymInt check_grpo(const char* op, Args args, size_t first) {
  const at::Tensor& logprobs = args[first].toTensor();
  const at::Tensor& advantage = args[first + 3].toTensor();
  check_rank(op, "logprobs", logprobs, 1);
  check_same_sizes(op, "the size of reference", args[first + 1].toTensor().sym_sizes(),
                   logprobs.sym_sizes());
  check_rank(op, "starts", args[first + 2].toTensor(), 1);
  check_rank(op, "advantage", advantage, 1);
  check_rank(op, "tokens", args[first + 4].toTensor(), 0);
  return advantage.sym_size(0);
}

Metas grpo_loss_shapes(Args args) {
  const c10::SymInt sequences = check_grpo("grpo_loss", args, 0);
  return {{{sequences}, c10::kFloat}, {{sequences, c10::SymInt(6)}, c10::kFloat}};
}

Metas grpo_loss_backward_shapes(Args args) {
  const c10::SymInt sequences = check_grpo("grpo_loss_backward", args, 1);
  check_same_sizes("grpo_loss_backward", "the size of dloss", args[0].toTensor().sym_sizes(),
                   {sequences});
  return {like(args[1].toTensor())};
}

// `reference` is what the generator recorded: a constant, without a gradient.
struct GrpoLoss : Function<GrpoLoss> {
  static variable_list forward(AutogradContext* ctx, const at::Tensor& logprobs,
                               const at::Tensor& reference, const at::Tensor& starts,
                               const at::Tensor& advantage, const at::Tensor& tokens,
                               int64_t sequences, double clip, double entropy, double kl) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    ctx->set_materialize_grads(false);
    ctx->saved_data["sequences"] = sequences;
    ctx->saved_data["clip"] = clip;
    ctx->saved_data["entropy"] = entropy;
    ctx->saved_data["kl"] = kl;
    ctx->save_for_backward({logprobs, reference, starts, advantage, tokens});
    auto [loss, stats] = ops::grpo_loss(logprobs, reference, starts, advantage, tokens, sequences,
                                        clip, entropy, kl);
    ctx->mark_non_differentiable({stats});
    return {loss, stats};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative("grpo_loss");
    if (!grads[0].defined()) return variable_list(9);
    const auto saved = ctx->get_saved_variables();
    auto& data = ctx->saved_data;
    auto dlogprobs = ops::grpo_loss_backward(
        grads[0], saved[0], saved[1], saved[2], saved[3], saved[4], data["sequences"].toInt(),
        data["clip"].toDouble(), data["entropy"].toDouble(), data["kl"].toDouble());
    return {dlogprobs, {}, {}, {}, {}, {}, {}, {}, {}};
  }
};

std::tuple<at::Tensor, at::Tensor> grpo_loss_with_gradient(
    const at::Tensor& logprobs, const at::Tensor& reference, const at::Tensor& starts,
    const at::Tensor& advantage, const at::Tensor& tokens, int64_t sequences, double clip,
    double entropy, double kl) {
  auto outputs =
      GrpoLoss::apply(logprobs, reference, starts, advantage, tokens, sequences, clip, entropy, kl);
  return {outputs[0], outputs[1]};
}

TORCH_LIBRARY_FRAGMENT(samebits, m) {
  // grpo_loss.h: logprobs, reference float32 [R] of the generated tokens of S sequences, those of
  // sequence s from starts[s] on (int32 [S + 1]), advantage float32 [S], tokens int64 [] -> loss
  // float32 [S] (each sequence's share), stats float32 [S, 6].
  define(m,
         "grpo_loss(Tensor logprobs, Tensor reference, Tensor starts, Tensor advantage, Tensor "
         "tokens, int sequences, float clip, float entropy, float kl) -> (Tensor loss, Tensor "
         "stats)",
         grpo_loss_shapes, {.is_replayable = true}, grpo_loss_with_gradient);
  define(m,
         "grpo_loss_backward(Tensor dloss, Tensor logprobs, Tensor reference, Tensor starts, "
         "Tensor advantage, Tensor tokens, int sequences, float clip, float entropy, float kl) -> "
         "Tensor",
         grpo_loss_backward_shapes, {.is_replayable = true});
}

}  // namespace

std::tuple<at::Tensor, at::Tensor> ops::grpo_loss(const at::Tensor& logprobs,
                                                  const at::Tensor& reference,
                                                  const at::Tensor& starts,
                                                  const at::Tensor& advantage,
                                                  const at::Tensor& tokens, int64_t sequences,
                                                  double clip, double entropy, double kl) {
  static const Operator<decltype(grpo_loss)> op("samebits::grpo_loss");
  return op(logprobs, reference, starts, advantage, tokens, sequences, clip, entropy, kl);
}

at::Tensor ops::grpo_loss_backward(const at::Tensor& dloss, const at::Tensor& logprobs,
                                   const at::Tensor& reference, const at::Tensor& starts,
                                   const at::Tensor& advantage, const at::Tensor& tokens,
                                   int64_t sequences, double clip, double entropy, double kl) {
  static const Operator<decltype(grpo_loss_backward)> op("samebits::grpo_loss_backward");
  return op(dloss, logprobs, reference, starts, advantage, tokens, sequences, clip, entropy, kl);
}

}  // namespace samebits
