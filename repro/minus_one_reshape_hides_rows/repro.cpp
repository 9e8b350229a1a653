#include "repro/minus_one_reshape_hides_rows/repro.h"

#include <ATen/ATen.h>

#include "harness/dtensor/dtensor.h"

namespace samebits {
namespace {

constexpr int64_t kHidden = 2048;

Subject flattened(Side side) {
  const auto mesh = make_local_mesh(
      /*size=*/2, side == Side::kBuggy ? GatheredSize::kConditional : GatheredSize::kNarrow);
  const at::Tensor weight =
      at::arange(16 * kHidden, at::kFloat).remainder(7).sub(3).view({16, kHidden});
  Subject subject;
  subject.program = [weight](const std::vector<at::Tensor>& in) {
    const at::Tensor local = to_local(redistribute(in[0], Placement::replicate()))[0];
    return std::vector<at::Tensor>{at::linear(local.view({-1, kHidden}), weight)};
  };
  subject.dims = {{0, 0, "s", 1}};
  subject.inputs = [mesh](int64_t size) {
    const at::Tensor whole = at::arange(size * kHidden, at::kFloat).remainder(5);
    return std::vector<at::Tensor>{
        distribute_tensor(whole.view({size, kHidden}), mesh, Placement::shard(0))};
  };
  subject.hint = 6;
  subject.sizes = sizes_to_try(/*ranks=*/2);
  return subject;
}

}  // namespace

Repro minus_one_reshape_hides_rows() {
  return {"minus_one_reshape_hides_rows",
          "a reshape with -1 accepts padding rows, and a crash becomes a longer output",
          /*is_silent=*/true,
          /*symptom=*/"output 0 has sizes [2, 16], eager gives [1, 16]",
          {"https://github.com/pytorch/torchtitan/pull/2393",
           "https://github.com/pytorch/pytorch/issues/112347"},
          flattened};
}
SAMEBITS_REPRO(minus_one_reshape_hides_rows);

}  // namespace samebits
