#include "repro/weak_ref_shared_pool_reuse/repro.h"

#include <ATen/ATen.h>

#include "harness/detect/pooled_graphs.h"
#include "harness/kernels/functional.h"

namespace samebits {
namespace {

constexpr int64_t kRowWidth = 16;

Subject doubled_at_sizes(Program program, c10::Device device) {
  Subject subject;
  subject.program = std::move(program);
  subject.dims = {{0, 0, "s", 1}};
  subject.inputs = [device](int64_t size) {
    // No two sizes have a row in common, so that what is overwritten differs.
    const at::Tensor x = at::arange(size * kRowWidth, at::kFloat).add(1000 * size);
    return std::vector<at::Tensor>{x.view({size, kRowWidth}).to(device)};
  };
  subject.hint = 4;
  subject.sizes = {8, 4, 2};
  return subject;
}

Subject pooled_side(Side side, c10::Device device) {
  return doubled_in_one_pool(side == Side::kBuggy ? HeldOutputs::kByAddress : HeldOutputs::kOwned,
                             device);
}

}  // namespace

Subject doubled_in_one_pool(HeldOutputs outputs, c10::Device device) {
  Subject subject = doubled_at_sizes(
      [](const std::vector<at::Tensor>& in) {
        return std::vector<at::Tensor>{ops::residual_add(in[0], in[0])};
      },
      device);
  subject.outputs = outputs;
  return subject;
}

Subject doubled_outside_the_pool() {
  const at::Tensor outside = at::zeros({8, kRowWidth});
  return doubled_at_sizes(
      [outside](const std::vector<at::Tensor>& in) {
        const at::Tensor doubled = ops::residual_add(in[0], in[0]);
        const at::Tensor out = outside.slice_symint(/*dim=*/0, 0, doubled.sym_size(0));
        out.copy_(doubled);
        return std::vector<at::Tensor>{out};
      },
      c10::kCPU);
}

Repro weak_ref_shared_pool_reuse() {
  return {"weak_ref_shared_pool_reuse",
          "a later capture in the pool gets the memory at which a weak reference reads",
          /*is_silent=*/true,
          /*symptom=*/
          "replayed in that order: at 8, output 0 of the graph at 8 is gone: its memory was "
          "written since by the graph at 2",
          {"https://github.com/sgl-project/sglang/issues/37606",
           "https://github.com/sgl-project/sglang/pull/22218",
           "https://github.com/sgl-project/sglang/pull/37448",
           "https://github.com/NVIDIA/TensorRT-LLM/pull/17010",
           "https://github.com/NVIDIA/TensorRT-LLM/pull/16609",
           "https://github.com/NVIDIA/Megatron-LM/pull/3970"},
          [](Side side) { return pooled_side(side, c10::kCPU); },
          /*also=*/{},
          OnCard{"replayed in that order: at 8, output 0 has other bits than eager's",
                 [](Side side) { return pooled_side(side, c10::kCUDA); }, run_pooled},
          run_pooled};
}
SAMEBITS_REPRO(weak_ref_shared_pool_reuse);

}  // namespace samebits
