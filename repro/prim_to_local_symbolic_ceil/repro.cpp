#include "repro/prim_to_local_symbolic_ceil/repro.h"

#include <ATen/ATen.h>

#include "harness/dtensor/dtensor.h"

namespace samebits {
namespace {

// Upstream's: a hidden size of 2048 into 1024.
constexpr int64_t kIn = 2048;
constexpr int64_t kOut = 1024;

}  // namespace

Subject gathered_linear(Side side, int64_t ranks, int64_t hint) {
  const auto mesh = make_local_mesh(
      ranks, side == Side::kBuggy ? GatheredSize::kConditional : GatheredSize::kNarrow);
  const at::Tensor weight =
      at::arange(kOut * kIn, at::kFloat).remainder(7).sub(3).view({kOut, kIn});
  Subject subject;
  subject.program = [weight](const std::vector<at::Tensor>& in) {
    const c10::SymInt size = in[0].sym_size(0);
    const at::Tensor local = to_local(redistribute(in[0], Placement::replicate()))[0];
    return std::vector<at::Tensor>{at::linear(local.view_symint({1, size, -1}), weight)};
  };
  subject.dims = {{0, 0, "s", 1}};
  subject.inputs = [mesh](int64_t size) {
    const at::Tensor whole = at::arange(size * kIn, at::kFloat).remainder(5).view({size, kIn});
    return std::vector<at::Tensor>{distribute_tensor(whole, mesh, Placement::shard(0))};
  };
  subject.hint = hint;
  subject.sizes = sizes_to_try(ranks);
  return subject;
}

Repro prim_to_local_symbolic_ceil() {
  return {"prim_to_local_symbolic_ceil",
          "a gathered shard has n*ceil(s/n) rows once a trace has seen a size that divides",
          /*is_silent=*/false,
          /*symptom=*/"(1x4096 and 2048x1024)",
          {"https://github.com/pytorch/pytorch/issues/175690",
           "https://github.com/pytorch/pytorch/pull/175692",
           "https://github.com/pytorch/torchtitan/pull/2393"},
          [](Side side) { return gathered_linear(side, /*ranks=*/2, /*hint=*/6); }};
}

}  // namespace samebits
