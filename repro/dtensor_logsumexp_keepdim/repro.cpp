#include "repro/dtensor_logsumexp_keepdim/repro.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <utility>

#include "harness/detect/sharded.h"
#include "harness/dispatch/dispatch_keys.h"
#include "harness/dtensor/dtensor.h"
#include "harness/dtensor/strategies/common.h"
#include "harness/kernels/shape_rule.h"
#include "repro/mechanisms/unchecked_dtensor.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;

// logsumexp along one dimension, under two rules:
//   ""                 a dimension that is kept counts
//   "forgets_keepdim"  the dimensions behind the reduced one always move up
TORCH_LIBRARY_FRAGMENT(samebits_repro, m) {
  m.def("logsumexp(Tensor x, int dim, bool keepdim) -> Tensor");
  m.def("logsumexp.forgets_keepdim(Tensor x, int dim, bool keepdim) -> Tensor");
}

at::Tensor logsumexp_kernel(const at::Tensor& x, int64_t dim, bool keepdim) {
  return x.logsumexp(dim, keepdim);
}

at::Tensor call_logsumexp(const at::Tensor& x, int64_t dim, bool keepdim, const char* overload) {
  return c10::Dispatcher::singleton()
      .findSchemaOrThrow("samebits_repro::logsumexp", overload)
      .typed<at::Tensor(const at::Tensor&, int64_t, bool)>()
      .call(x, dim, keepdim);
}

// Of a shard along another dimension than the reduced one.
Placement after_reduction(Placement x, int64_t dim, bool keepdim) {
  return shard(x.dim() - (!keepdim && x.dim() > dim ? 1 : 0));
}

at::Tensor logsumexp_forgets_keepdim(const at::Tensor& x, int64_t dim, bool keepdim) {
  const DTensorSpec& spec = spec_of(x);
  const Placement placement = spec.placement();
  dim = wrapped_dim(dim, x.dim());
  if (!placement.is_shard() || placement.dim() == dim) return call_logsumexp(x, dim, keepdim, "");
  Tensors results;
  for (const at::Tensor& local : locals_of(x)) results.push_back(local.logsumexp(dim, keepdim));
  std::vector<int64_t> sizes = x.sizes().vec();
  if (keepdim) {
    sizes[static_cast<size_t>(dim)] = 1;
  } else {
    sizes.erase(sizes.begin() + dim);
  }
  return unchecked_dtensor({spec.mesh, after_reduction(placement, dim, /*keepdim=*/false)}, sizes,
                           std::move(results));
}

TORCH_LIBRARY_IMPL(samebits_repro, CPU, m) {
  m.impl("logsumexp", logsumexp_kernel);
  m.impl("logsumexp.forgets_keepdim", logsumexp_kernel);
}

// The handler compares each rank's sizes with the placement and would refuse the result, so the
// rule is a kernel.
TORCH_LIBRARY_IMPL(samebits_repro, Fake, m) {
  static_assert(kDTensorDispatchKey == c10::DispatchKey::Fake);
  m.impl("logsumexp.forgets_keepdim", logsumexp_forgets_keepdim);
}

std::vector<TensorMeta> logsumexp_shape(c10::ArrayRef<c10::IValue> args) {
  const std::vector<int64_t> dims{args[1].toInt()};
  return infer_shapes("aten::sum.dim_IntList", {args[0], dims, args[2], c10::IValue()});
}

OpSharding logsumexp_keeping(const OpCall& call, bool keepdim) {
  const Placement x = call.placements[0];
  const int64_t dim = wrapped_dim(call.args[1], call.args[0].toTensor().dim());
  if (!x.is_shard() || x.dim() == dim) return all_replicate(call, 1);
  return {{x}, {after_reduction(x, dim, keepdim)}, {}};
}

OpSharding logsumexp(const OpCall& call) { return logsumexp_keeping(call, call.args[2].toBool()); }

OpSharding forgets_keepdim(const OpCall& call) {
  return logsumexp_keeping(call, /*keepdim=*/false);
}

SAMEBITS_SHAPE_RULE("samebits_repro::logsumexp", logsumexp_shape);
SAMEBITS_SHAPE_RULE("samebits_repro::logsumexp.forgets_keepdim", logsumexp_shape);
SAMEBITS_STRATEGY("samebits_repro::logsumexp", logsumexp);
SAMEBITS_STRATEGY("samebits_repro::logsumexp.forgets_keepdim", forgets_keepdim);

}  // namespace

Subject minus_logsumexp(Side side) {
  constexpr int64_t kRanks = 2;
  constexpr int64_t kColumns = 4;
  const auto mesh = make_local_mesh(kRanks);
  const char* overload = side == Side::kBuggy ? "forgets_keepdim" : "";
  Subject subject;
  subject.program = [overload](const Tensors& in) {
    return Tensors{in[0].sub(call_logsumexp(in[0], /*dim=*/0, /*keepdim=*/true, overload))};
  };
  subject.dims = {{0, 0, "s", 1}};
  subject.inputs = [mesh](int64_t s) {
    const at::Tensor whole = at::arange(s * kColumns, at::kFloat).view({s, kColumns}).mul(100);
    return Tensors{distribute_tensor(whole, mesh, Placement::shard(1))};
  };
  subject.hint = 3;
  subject.sizes = sizes_to_try(kRanks);
  return subject;
}

Repro dtensor_logsumexp_keepdim() {
  return {"dtensor_logsumexp_keepdim",
          "logsumexp that keeps its dimension is called sharded one dimension too far left",
          /*is_silent=*/true,
          /*symptom=*/
          "sharded at 3: output 0: element [0, 1] is -700, expected -800; 9 of 12 differ",
          {"https://github.com/pytorch/pytorch/pull/163879"},
          minus_logsumexp,
          /*also=*/{},
          /*on_card=*/{},
          run_sharded};
}
SAMEBITS_REPRO(dtensor_logsumexp_keepdim);

}  // namespace samebits
