#include "harness/kernels/log_softmax.h"

#include "harness/kernels/functional.h"
#include "harness/kernels/ops/gradient.h"
#include "harness/kernels/ops/operator.h"
#include "harness/kernels/ops/shapes.h"

namespace samebits {
namespace {

Metas log_softmax_gather_shapes(Args args) {
  const auto& logits = args[0].toTensor();
  const auto& targets = args[1].toTensor();
  check_at_least_1d("log_softmax_gather", "logits", logits);
  check_same_sizes("log_softmax_gather", "a size of targets", targets.sym_sizes(), leading(logits));
  return {{sym_sizes_of(targets), c10::kFloat}, {sym_sizes_of(targets), c10::kFloat}};
}

Metas log_softmax_gather_backward_shapes(Args args) {
  const auto& logits = args[1].toTensor();
  const char* op = "log_softmax_gather_backward";
  check_at_least_1d(op, "logits", logits);
  check_same_sizes(op, "a size of dlogprob", args[0].toTensor().sym_sizes(), leading(logits));
  check_same_sizes(op, "a size of targets", args[2].toTensor().sym_sizes(), leading(logits));
  check_same_sizes(op, "a size of lse", args[3].toTensor().sym_sizes(), leading(logits));
  return {like(logits)};
}

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

std::tuple<at::Tensor, at::Tensor> log_softmax_gather_with_gradient(const at::Tensor& logits,
                                                                    const at::Tensor& targets,
                                                                    int64_t vocab) {
  auto outputs = LogSoftmaxGather::apply(logits, targets, vocab);
  return {outputs[0], outputs[1]};
}

TORCH_LIBRARY_FRAGMENT(samebits, m) {
  // log_softmax.h: logits [..., V], targets int64 [...] -> logprob float32 [...], lse float32
  // [...], over the first `vocab` columns.
  define(m,
         "log_softmax_gather(Tensor logits, Tensor targets, int vocab) -> (Tensor logprob, "
         "Tensor lse)",
         log_softmax_gather_shapes, {.is_replayable = true}, log_softmax_gather_with_gradient);
  define(m,
         "log_softmax_gather_backward(Tensor dlogprob, Tensor logits, Tensor targets, Tensor "
         "lse, int vocab) -> Tensor",
         log_softmax_gather_backward_shapes, {.is_replayable = true});
}

}  // namespace

std::tuple<at::Tensor, at::Tensor> ops::log_softmax_gather(const at::Tensor& logits,
                                                           const at::Tensor& targets,
                                                           int64_t vocab) {
  static const Operator<decltype(log_softmax_gather)> op("samebits::log_softmax_gather");
  return op(logits, targets, vocab);
}

at::Tensor ops::log_softmax_gather_backward(const at::Tensor& dlogprob, const at::Tensor& logits,
                                            const at::Tensor& targets, const at::Tensor& lse,
                                            int64_t vocab) {
  static const Operator<decltype(log_softmax_gather_backward)> op(
      "samebits::log_softmax_gather_backward");
  return op(dlogprob, logits, targets, lse, vocab);
}

}  // namespace samebits
