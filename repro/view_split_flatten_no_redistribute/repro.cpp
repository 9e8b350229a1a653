#include "repro/view_split_flatten_no_redistribute/repro.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <functional>
#include <numeric>
#include <utility>

#include "harness/detect/sharded.h"
#include "harness/dtensor/dtensor.h"
#include "harness/dtensor/strategies/common.h"
#include "harness/kernels/shape_rule.h"

namespace samebits {
namespace {

// aten::view under two rules:
//   ""            that of harness/dtensor/strategies/view.cpp
//   "relabelled"  the one that is at fault
TORCH_LIBRARY_FRAGMENT(samebits_repro, m) {
  m.def("view(Tensor(a) x, SymInt[] size) -> Tensor(a)");
  m.def("view.relabelled(Tensor(a) x, SymInt[] size) -> Tensor(a)");
}

at::Tensor view_kernel(const at::Tensor& x, c10::SymIntArrayRef size) {
  return x.view_symint(size);
}

TORCH_LIBRARY_IMPL(samebits_repro, CPU, m) {
  m.impl("view", view_kernel);
  m.impl("view.relabelled", view_kernel);
}

std::vector<TensorMeta> view_shape(c10::ArrayRef<c10::IValue> args) {
  return infer_shapes("aten::view", args);
}

OpSharding kept_or_gathered(const OpCall& call) { return find_strategy("aten::view")(call); }

// A dimension inside a flattened group is taken for its first: where the numbers of elements fit,
// every rank views its own.
OpSharding relabelled(const OpCall& call) {
  OpSharding sharding = kept_or_gathered(call);
  const Placement x = call.placements[0];
  if (!x.is_shard() || x.dim() == 0 || sharding.outputs[0].is_shard()) return sharding;
  std::vector<c10::SymInt> out = view_shape(call.args)[0].sizes;
  const int64_t n = call.ranks;
  if (!is_even(call.args[0].toTensor().sym_size(x.dim()), n) || !is_even(out[0], n)) {
    return sharding;
  }
  return {{x}, {shard(0)}, localize_sizes(1, std::move(out), 0, n)};
}

SAMEBITS_SHAPE_RULE("samebits_repro::view", view_shape);
SAMEBITS_SHAPE_RULE("samebits_repro::view.relabelled", view_shape);
SAMEBITS_STRATEGY("samebits_repro::view", kept_or_gathered);
SAMEBITS_STRATEGY("samebits_repro::view.relabelled", relabelled);

at::Tensor call_view(const at::Tensor& x, c10::SymIntArrayRef size, const char* overload) {
  return c10::Dispatcher::singleton()
      .findSchemaOrThrow("samebits_repro::view", overload)
      .typed<at::Tensor(const at::Tensor&, c10::SymIntArrayRef)>()
      .call(x, size);
}

}  // namespace

Subject viewed(Side side, int64_t ranks, std::vector<int64_t> in, std::vector<int64_t> out) {
  const auto mesh = make_local_mesh(ranks);
  const char* overload = side == Side::kBuggy ? "relabelled" : "";
  Subject subject;
  subject.program = [out = std::move(out), overload](const std::vector<at::Tensor>& x) {
    std::vector<c10::SymInt> size(out.begin(), out.end());
    size.push_back(x[0].sym_size(-1));
    return std::vector<at::Tensor>{call_view(x[0], size, overload)};
  };
  subject.dims = {{0, static_cast<int>(in.size()), "s", 1}};
  subject.inputs = [mesh, in = std::move(in)](int64_t s) {
    std::vector<int64_t> sizes = in;
    sizes.push_back(s);
    const int64_t count =
        std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies());
    const at::Tensor whole = at::arange(count, at::kFloat).view(sizes);
    return std::vector<at::Tensor>{distribute_tensor(whole, mesh, Placement::shard(1))};
  };
  subject.hint = 1;
  subject.sizes = sizes_to_try(ranks);
  return subject;
}

Repro view_split_flatten_no_redistribute() {
  return {"view_split_flatten_no_redistribute",
          "a view that flattens and splits again is called Shard(0) although rows are interleaved",
          /*is_silent=*/true,
          /*symptom=*/
          "sharded at 1: output 0: element [0, 2, 0] is 8, expected 2; 92 of 96 differ",
          {"https://github.com/pytorch/pytorch/issues/179502",
           "https://github.com/pytorch/pytorch/pull/179632",
           "https://github.com/pytorch/pytorch/pull/179509"},
          [](Side side) {
            return viewed(side, /*ranks=*/4, {12, 8}, {16, 6});
          },
          /*also=*/{},
          /*on_card=*/{},
          run_sharded};
}
SAMEBITS_REPRO(view_split_flatten_no_redistribute);

}  // namespace samebits
