#include "harness/kernels/adamw.h"

#include "harness/kernels/functional.h"
#include "harness/kernels/ops/operator.h"
#include "harness/kernels/ops/shapes.h"

namespace samebits {
namespace {

Metas adamw_shapes(Args args) {
  const auto& weight = args[0].toTensor();
  for (const int i : {1, 2, 3, 4}) {
    if (!args[i].isTensor()) continue;  // no master
    check_same_sizes("adamw_", "a size of its state or gradient", args[i].toTensor().sym_sizes(),
                     weight.sym_sizes());
  }
  check_rank("adamw_", "scale", args[5].toTensor(), 0);
  check_rank("adamw_", "step", args[6].toTensor(), 0);
  return {};
}

TORCH_LIBRARY_FRAGMENT(samebits, m) {
  // adamw.h: one step, in place. With `master` (float32) the weight is its rounding; without, the
  // weight itself is updated, and m and v may be bf16 as it is. `scale` float32 [] multiplies the
  // gradient first (clipping); `step` is int64 [].
  define(m,
         "adamw_(Tensor(a!) weight, Tensor(b!)? master, Tensor(c!) m, Tensor(d!) v, Tensor "
         "grad, Tensor scale, Tensor step, float lr, float beta1, float beta2, float eps, "
         "float weight_decay) -> ()",
         adamw_shapes, {.is_replayable = true});
}

}  // namespace

void ops::adamw_(const at::Tensor& weight, const std::optional<at::Tensor>& master,
                 const at::Tensor& m, const at::Tensor& v, const at::Tensor& grad,
                 const at::Tensor& scale, const at::Tensor& step, double lr, double beta1,
                 double beta2, double eps, double weight_decay) {
  static const Operator<decltype(adamw_)> op("samebits::adamw_");
  op(weight, master, m, v, grad, scale, step, lr, beta1, beta2, eps, weight_decay);
}

}  // namespace samebits
