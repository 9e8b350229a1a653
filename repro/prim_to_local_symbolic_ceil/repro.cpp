#include "repro/prim_to_local_symbolic_ceil/repro.h"

#include <ATen/ATen.h>

#include "harness/dtensor/dtensor.h"

namespace samebits {
namespace {

// Upstream's: a hidden size of 2048 into 1024.
constexpr int64_t kIn = 2048;
constexpr int64_t kOut = 1024;

using Converted = GatheredLinear::Converted;
using Tensors = std::vector<at::Tensor>;

at::Tensor converted(const at::Tensor& dtensor) {
  return to_local(redistribute(dtensor, Placement::replicate()))[0];
}

// The module: `rows` is as many as it knows of.
at::Tensor multiplied(const at::Tensor& local, const c10::SymInt& rows, const at::Tensor& weight,
                      bool narrows) {
  const at::Tensor known = narrows ? local.slice_symint(/*dim=*/0, 0, rows) : local;
  return at::linear(known.view_symint({1, rows, -1}), weight);
}

}  // namespace

Subject gathered_linear(const GatheredLinear& form) {
  const auto mesh = make_local_mesh(form.ranks, form.gathered_size);
  const at::Tensor weight =
      at::arange(kOut * kIn, at::kFloat).remainder(7).sub(3).view({kOut, kIn});
  Subject subject;
  subject.program = [weight, form](const Tensors& in) {
    const at::Tensor local = converted(in[0]);
    const c10::SymInt rows =
        form.converted == Converted::kByHooks ? local.sym_size(0) : in[0].sym_size(0);
    return Tensors{multiplied(local, rows, weight, form.consumer_narrows)};
  };
  subject.dims = {{0, 0, "s", 1}};
  subject.inputs = [mesh](int64_t size) {
    const at::Tensor whole = at::arange(size * kIn, at::kFloat).remainder(5).view({size, kIn});
    return Tensors{distribute_tensor(whole, mesh, Placement::shard(0))};
  };
  subject.hint = form.hint;
  subject.sizes = sizes_to_try(form.ranks);
  return subject;
}

Subject gathered_linear(Side side, int64_t ranks, int64_t hint) {
  const auto rule = side == Side::kBuggy ? GatheredSize::kConditional : GatheredSize::kNarrow;
  return gathered_linear({.ranks = ranks, .hint = hint, .gathered_size = rule});
}

Repro prim_to_local_symbolic_ceil() {
  return {
      "prim_to_local_symbolic_ceil",
      "a gathered shard has n*ceil(s/n) rows once a trace has seen a size that divides",
      /*is_silent=*/false,
      /*symptom=*/"(1x4096 and 2048x1024)",
      {"https://github.com/pytorch/pytorch/issues/175690",
       "https://github.com/pytorch/pytorch/pull/175692",
       "https://github.com/pytorch/torchtitan/pull/2393"},
      [](Side side) { return gathered_linear(side, /*ranks=*/2, /*hint=*/6); },
      {{"converted by hooks, and narrowed in the module",
        "traced at 6, served at 1: output 0 has sizes [1, 2, 1024]",
        [] {
          return gathered_linear({.gathered_size = GatheredSize::kConditional,
                                  .converted = Converted::kByHooks,
                                  .consumer_narrows = true});
        }}},
      /*on_card=*/{},
      run_subject,
      {{"the old gather, narrowed by its consumer",
        [] {
          return gathered_linear(
              {.gathered_size = GatheredSize::kConditional, .consumer_narrows = true});
        },
        /*found_by=*/"D1, D8"},
       {"converted by hooks", [] { return gathered_linear({.converted = Converted::kByHooks}); }}}};
}
SAMEBITS_REPRO(prim_to_local_symbolic_ceil);

}  // namespace samebits
