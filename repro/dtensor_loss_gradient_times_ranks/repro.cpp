#include "repro/dtensor_loss_gradient_times_ranks/repro.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <optional>

#include "harness/detect/sharded.h"
#include "harness/dtensor/dtensor.h"
#include "harness/dtensor/strategies/common.h"
#include "harness/kernels/shape_rule.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;

// The gradient of a mean square error over `count` elements, or as many as there are, under two
// rules that shard it as if it were elementwise:
//   ""          a rank is told the count of the whole
//   "of_shard"  a rank counts what it has
TORCH_LIBRARY_FRAGMENT(samebits_repro, m) {
  for (const std::string overload : {"", ".of_shard"}) {
    m.def(("mse_loss_backward" + overload +
           "(Tensor grad, Tensor x, Tensor target, SymInt? count=None) -> Tensor")
              .c_str());
  }
}

at::Tensor mse_loss_backward(const at::Tensor& grad, const at::Tensor& x, const at::Tensor& target,
                             std::optional<c10::SymInt> count) {
  const int64_t elements = count ? count->expect_int() : x.numel();
  return x.sub(target).mul(2).div(elements).mul(grad);
}

TORCH_LIBRARY_IMPL(samebits_repro, CPU, m) {
  m.impl("mse_loss_backward", mse_loss_backward);
  m.impl("mse_loss_backward.of_shard", mse_loss_backward);
}

std::vector<TensorMeta> shape_of_x(c10::ArrayRef<c10::IValue> args) {
  const at::Tensor& x = args[1].toTensor();
  return {{x.sym_sizes().vec(), x.scalar_type()}};
}

// What the decomposition shows: it multiplies and subtracts element by element.
OpSharding elementwise_in_x(const OpCall& call) {
  const Placement x = call.placements[1];
  if (x.is_partial()) return all_replicate(call, 1);
  return {{replicate(), x, x}, {x}, {}};
}

// And that it reads a size.
OpSharding with_count_of_whole(const OpCall& call) {
  OpSharding sharding = elementwise_in_x(call);
  c10::SymInt count = 1;
  for (const c10::SymInt& size : call.args[1].toTensor().sym_sizes()) count *= size;
  sharding.localize = [count](int64_t, std::vector<c10::IValue>& args) { args[3] = count; };
  return sharding;
}

SAMEBITS_SHAPE_RULE("samebits_repro::mse_loss_backward", shape_of_x);
SAMEBITS_SHAPE_RULE("samebits_repro::mse_loss_backward.of_shard", shape_of_x);
SAMEBITS_STRATEGY("samebits_repro::mse_loss_backward", with_count_of_whole);
SAMEBITS_STRATEGY("samebits_repro::mse_loss_backward.of_shard", elementwise_in_x);

at::Tensor call_mse_loss_backward(const at::Tensor& grad, const at::Tensor& x,
                                  const at::Tensor& target, const char* overload) {
  return c10::Dispatcher::singleton()
      .findSchemaOrThrow("samebits_repro::mse_loss_backward", overload)
      .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&,
                        std::optional<c10::SymInt>)>()
      .call(grad, x, target, std::nullopt);
}

}  // namespace

Subject mean_square_and_gradient(Side side, int64_t ranks) {
  const auto mesh = make_local_mesh(ranks);
  const char* overload = side == Side::kBuggy ? "of_shard" : "";
  Subject subject;
  subject.program = [overload](const Tensors& in) {
    const at::Tensor& x = in[0];
    const at::Tensor loss = x.mul(x).mean();
    const at::Tensor gradient =
        call_mse_loss_backward(at::ones_like(loss), x, at::zeros_like(x), overload);
    return Tensors{loss, gradient};
  };
  subject.dims = {{0, 0, "s", 1}};
  subject.inputs = [mesh](int64_t s) {
    return Tensors{distribute_tensor(at::arange(1, s + 1, at::kFloat), mesh, Placement::shard(0))};
  };
  subject.hint = 2 * ranks;
  subject.sizes = sizes_to_try(ranks);
  return subject;
}

Repro dtensor_loss_gradient_times_ranks() {
  return {"dtensor_loss_gradient_times_ranks",
          "the gradient of a mean loss is divided by the elements of a rank, not of the whole",
          /*is_silent=*/true,
          /*symptom=*/"sharded at 8: output 1: element [0] is 1, expected 0.25; 8 of 8 differ",
          {"https://github.com/pytorch/pytorch/pull/171652",
           "https://github.com/pytorch/pytorch/pull/163241",
           "https://github.com/pytorch/pytorch/issues/185167"},
          [](Side side) { return mean_square_and_gradient(side, /*ranks=*/4); },
          /*also=*/{},
          /*on_card=*/{},
          run_sharded};
}
SAMEBITS_REPRO(dtensor_loss_gradient_times_ranks);

}  // namespace samebits
