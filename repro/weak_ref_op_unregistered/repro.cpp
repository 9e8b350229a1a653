#include "repro/weak_ref_op_unregistered/repro.h"

#include <ATen/ATen.h>

#include "harness/dtensor/dtensor.h"
#include "repro/mechanisms/weak_ref.h"

namespace samebits {

Subject weak_ref_subject(const std::string& overload, bool on_mesh, c10::Device device) {
  constexpr int64_t kRanks = 2;
  const auto mesh = make_local_mesh(kRanks);
  Subject subject;
  // The reference is used while the input, which owns the memory, is there.
  subject.program = [overload](const std::vector<at::Tensor>& in) {
    return std::vector<at::Tensor>{weak_ref(in[0], overload).mul(2)};
  };
  subject.dims = {{0, 0, "s", 1}};
  subject.inputs = [mesh, on_mesh, device](int64_t size) {
    const at::Tensor whole = at::arange(size * 1024, at::kFloat).view({size, 1024}).to(device);
    return std::vector<at::Tensor>{on_mesh ? distribute_tensor(whole, mesh, Placement::shard(0))
                                           : whole};
  };
  subject.hint = 6;
  subject.sizes = sizes_to_try(kRanks);
  return subject;
}

Repro weak_ref_op_unregistered() {
  return {"weak_ref_op_unregistered",
          "a custom op has its kernel, but no shape rule or sharding strategy",
          /*is_silent=*/false,
          /*symptom=*/
          "traced at 6: operator samebits_repro::weak_ref.no_shape_rule has no shape rule",
          {"https://github.com/pytorch/torchtitan/pull/2393",
           "https://github.com/pytorch/pytorch/issues/101131",
           "https://github.com/vllm-project/vllm/issues/44130"},
          [](Side side) {
            return weak_ref_subject(side == Side::kBuggy ? "no_shape_rule" : "",
                                    /*on_mesh=*/false);
          },
          {{"no sharding strategy",
            "eager at 6: operator samebits_repro::weak_ref.no_strategy has no sharding strategy",
            [] { return weak_ref_subject("no_strategy", /*on_mesh=*/true); }}}};
}
SAMEBITS_REPRO(weak_ref_op_unregistered);

}  // namespace samebits
