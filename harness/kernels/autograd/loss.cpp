// From logits to the loss: log_softmax_gather and grpo_loss.

#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/library.h>

#include "harness/kernels/autograd/common.h"
#include "harness/kernels/functional.h"

namespace samebits {
namespace {

struct LogSoftmaxGather : Function<LogSoftmaxGather> {
  static variable_list forward(AutogradContext* ctx, const at::Tensor& logits,
                               const at::Tensor& targets, int64_t vocab) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    ctx->set_materialize_grads(false);
    ctx->saved_data["vocab"] = vocab;
    auto [logprob, lse] = ops::log_softmax_gather(logits, targets, vocab);
    ctx->save_for_backward({logits, targets, lse});
    ctx->mark_non_differentiable({lse});
    return {logprob, lse};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative("log_softmax_gather");
    if (!grads[0].defined()) return {{}, {}, {}};
    const auto saved = ctx->get_saved_variables();
    return {ops::log_softmax_gather_backward(grads[0], saved[0], saved[1], saved[2],
                                             ctx->saved_data["vocab"].toInt()),
            {},
            {}};
  }
};

// `reference` is what the generator recorded: a constant, without a gradient.
struct GrpoLoss : Function<GrpoLoss> {
  static variable_list forward(AutogradContext* ctx, const at::Tensor& logprobs,
                               const at::Tensor& reference, const at::Tensor& advantage,
                               const at::Tensor& tokens, int64_t sequences, double clip,
                               double entropy, double kl) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    ctx->set_materialize_grads(false);
    ctx->saved_data["sequences"] = sequences;
    ctx->saved_data["clip"] = clip;
    ctx->saved_data["entropy"] = entropy;
    ctx->saved_data["kl"] = kl;
    ctx->save_for_backward({logprobs, reference, advantage, tokens});
    auto [loss, stats] =
        ops::grpo_loss(logprobs, reference, advantage, tokens, sequences, clip, entropy, kl);
    ctx->mark_non_differentiable({stats});
    return {loss, stats};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative("grpo_loss");
    if (!grads[0].defined()) return {{}, {}, {}, {}, {}, {}, {}, {}};
    const auto saved = ctx->get_saved_variables();
    auto& data = ctx->saved_data;
    auto dlogprobs = ops::grpo_loss_backward(grads[0], saved[0], saved[1], saved[2], saved[3],
                                             data["sequences"].toInt(), data["clip"].toDouble(),
                                             data["entropy"].toDouble(), data["kl"].toDouble());
    return {dlogprobs, {}, {}, {}, {}, {}, {}, {}};
  }
};

std::tuple<at::Tensor, at::Tensor> log_softmax_gather(const at::Tensor& logits,
                                                      const at::Tensor& targets, int64_t vocab) {
  auto outputs = LogSoftmaxGather::apply(logits, targets, vocab);
  return {outputs[0], outputs[1]};
}

std::tuple<at::Tensor, at::Tensor> grpo_loss(const at::Tensor& logprobs,
                                             const at::Tensor& reference,
                                             const at::Tensor& advantage, const at::Tensor& tokens,
                                             int64_t sequences, double clip, double entropy,
                                             double kl) {
  auto outputs =
      GrpoLoss::apply(logprobs, reference, advantage, tokens, sequences, clip, entropy, kl);
  return {outputs[0], outputs[1]};
}

TORCH_LIBRARY_IMPL(samebits, Autograd, m) {
  m.impl("log_softmax_gather", log_softmax_gather);
  m.impl("grpo_loss", grpo_loss);
}

}  // namespace
}  // namespace samebits
