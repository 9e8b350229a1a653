#include "harness/execution/persistent.h"

#include <ATen/ATen.h>

#include "harness/capture/persistent/lower.h"
#include "harness/execution/run_passes.h"
#include "harness/kernels/decode_tiles.h"

namespace samebits {

PersistentProgram::PersistentProgram(const Mode& mode, const ProgramSpec& spec)
    : ReplayedProgram(mode, spec),
      progress_(at::zeros({2}, at::TensorOptions().dtype(at::kLong).device(model().device()))) {
  set_lowering([this](const ir::Graph& graph, const std::vector<int64_t>& buckets) {
    return is_fused(buckets[0]) ? run_passes(graph, {GraphPass::kFuse})
                                : passes::lower_decode(graph, progress_).graph;
  });
}

bool PersistentProgram::is_fused(int64_t bucket) const {
  return model().device().is_cuda() && bucket > kDecodeTokens;
}

void PersistentProgram::note_replay(const std::vector<int64_t>& buckets) {
  if (is_fused(buckets[0])) ++fused_steps_;
}

Witness PersistentProgram::witness() const {
  Witness witness = ReplayedProgram::witness();
  const at::Tensor progress = progress_.cpu();
  witness.persistent_steps = progress.const_data_ptr<int64_t>()[0];
  witness.stages = progress.const_data_ptr<int64_t>()[1];
  witness.fused_steps = fused_steps_;
  return witness;
}

}  // namespace samebits
