#include "repro/loss_parallel_identity_gradient/repro.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include "harness/detect/sharded.h"
#include "harness/dispatch/dispatch_keys.h"
#include "harness/dtensor/dtensor.h"
#include "harness/dtensor/strategies/common.h"
#include "harness/kernels/shape_rule.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;

constexpr int64_t kClasses = 8;
constexpr int64_t kTarget = 2;

// Two backward operators, in two ways to share the work between them on DTensors:
//   ""                each has its own, as on plain tensors
//   "loss_parallel"   the loss's does both, log-softmax's hands on
TORCH_LIBRARY_FRAGMENT(samebits_repro, m) {
  for (const std::string overload : {"", ".loss_parallel"}) {
    m.def(("log_softmax_backward" + overload + "(Tensor grad, Tensor output) -> Tensor").c_str());
    m.def(("nll_loss_backward" + overload + "(Tensor output, int target) -> Tensor").c_str());
  }
}

at::Tensor log_softmax_backward(const at::Tensor& grad, const at::Tensor& output) {
  return grad.sub(output.exp().mul(grad.sum(/*dim=*/-1, /*keepdim=*/true)));
}

// Minus one where the target is.
at::Tensor nll_loss_backward(const at::Tensor& output, int64_t target) {
  at::Tensor grad = at::zeros_like(output);
  grad.select(-1, target).fill_(-1);
  return grad;
}

at::Tensor handed_on(const at::Tensor& grad, const at::Tensor& /*output*/) { return grad.clone(); }

void register_on_plain_tensors(torch::Library& m) {
  for (const std::string overload : {"", ".loss_parallel"}) {
    m.impl(("log_softmax_backward" + overload).c_str(), log_softmax_backward);
    m.impl(("nll_loss_backward" + overload).c_str(), nll_loss_backward);
  }
}

at::Tensor call_log_softmax_backward(const at::Tensor& grad, const at::Tensor& output,
                                     const char* overload) {
  return c10::Dispatcher::singleton()
      .findSchemaOrThrow("samebits_repro::log_softmax_backward", overload)
      .typed<at::Tensor(const at::Tensor&, const at::Tensor&)>()
      .call(grad, output);
}

at::Tensor call_nll_loss_backward(const at::Tensor& output, const char* overload) {
  return c10::Dispatcher::singleton()
      .findSchemaOrThrow("samebits_repro::nll_loss_backward", overload)
      .typed<at::Tensor(const at::Tensor&, int64_t)>()
      .call(output, kTarget);
}

at::Tensor both_backwards(const at::Tensor& output, int64_t /*target*/) {
  return call_nll_loss_backward(output, "").add(output.exp());
}

TORCH_LIBRARY_IMPL(samebits_repro, CPU, m) { register_on_plain_tensors(m); }

TORCH_LIBRARY_IMPL(samebits_repro, Fake, m) {
  static_assert(kDTensorDispatchKey == c10::DispatchKey::Fake);
  m.impl("log_softmax_backward.loss_parallel", handed_on);
  m.impl("nll_loss_backward.loss_parallel", both_backwards);
}

std::vector<TensorMeta> as_first(c10::ArrayRef<c10::IValue> args) {
  const at::Tensor& first = args[0].toTensor();
  return {{first.sym_sizes().vec(), first.scalar_type()}};
}

// Rows stay where they are, a sharded vocabulary is gathered: its sum needs every rank.
OpSharding by_rows(const OpCall& call) {
  for (const Placement placement : call.placements) {
    if (placement.is_shard(0)) return uniform(call, placement, 1);
  }
  return all_replicate(call, 1);
}

SAMEBITS_SHAPE_RULE("samebits_repro::log_softmax_backward", as_first);
SAMEBITS_SHAPE_RULE("samebits_repro::log_softmax_backward.loss_parallel", as_first);
SAMEBITS_SHAPE_RULE("samebits_repro::nll_loss_backward", as_first);
SAMEBITS_SHAPE_RULE("samebits_repro::nll_loss_backward.loss_parallel", as_first);
SAMEBITS_STRATEGY("samebits_repro::log_softmax_backward", by_rows);
SAMEBITS_STRATEGY("samebits_repro::log_softmax_backward.loss_parallel", by_rows);
SAMEBITS_STRATEGY("samebits_repro::nll_loss_backward", by_rows);
SAMEBITS_STRATEGY("samebits_repro::nll_loss_backward.loss_parallel", by_rows);

const char* share_of(Side side) { return side == Side::kBuggy ? "loss_parallel" : ""; }

// Logprobs and weights, both sharded along the vocabulary. The forward is right on both sides.
Subject over_vocabulary(Program program, int64_t ranks) {
  const auto mesh = make_local_mesh(ranks);
  Subject subject;
  subject.program = std::move(program);
  subject.dims = {{0, 0, "s", 1}, {1, 0, "s", 1}};
  subject.inputs = [mesh](int64_t size) {
    const at::Tensor numbers = at::arange(size * kClasses, at::kFloat).view({size, kClasses});
    const at::Tensor logprobs = at::log_softmax(numbers.remainder(5), /*dim=*/-1);
    const at::Tensor weights = numbers.remainder(3);
    return Tensors{distribute_tensor(logprobs, mesh, Placement::shard(1)),
                   distribute_tensor(weights, mesh, Placement::shard(1))};
  };
  subject.hint = 3;
  subject.sizes = {1, 2, 3, 5};
  return subject;
}

}  // namespace

Subject weighted_logprobs(Side side, int64_t ranks) {
  const char* overload = share_of(side);
  return over_vocabulary(
      [overload](const Tensors& in) {
        return Tensors{in[0].mul(in[1]).sum(), call_log_softmax_backward(in[1], in[0], overload)};
      },
      ranks);
}

Subject cross_entropy_gradient(Side side, int64_t ranks) {
  const char* overload = share_of(side);
  return over_vocabulary(
      [overload](const Tensors& in) {
        const at::Tensor grad = call_nll_loss_backward(in[0], overload);
        return Tensors{call_log_softmax_backward(grad, in[0], overload)};
      },
      ranks);
}

Repro loss_parallel_identity_gradient() {
  return {"loss_parallel_identity_gradient",
          "the gradient of a sharded log-softmax is handed on as it came, unless cross entropy is "
          "its consumer",
          /*is_silent=*/true,
          /*symptom=*/"sharded at 3: output 1: element [0, 0] is 0, expected -",
          {"https://github.com/pytorch/pytorch/issues/190746",
           "https://github.com/pytorch/pytorch/pull/191479",
           "https://github.com/pytorch/pytorch/pull/191606",
           "https://github.com/pytorch/pytorch/pull/119877"},
          [](Side side) { return weighted_logprobs(side, /*ranks=*/2); },
          /*also=*/{},
          /*on_card=*/{},
          run_sharded};
}
SAMEBITS_REPRO(loss_parallel_identity_gradient);

}  // namespace samebits
