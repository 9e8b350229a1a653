#include "harness/execution/persistent.h"

#include <ATen/ATen.h>

#include <utility>

#include "harness/capture/persistent/lower.h"

namespace samebits {

PersistentProgram::PersistentProgram(const Mode& mode, ProgramSpec spec)
    : ReplayedProgram(mode, std::move(spec)),
      progress_(at::zeros({2}, at::TensorOptions().dtype(at::kLong).device(model().device()))) {
  set_lowering([progress = progress_](const ir::Graph& graph) {
    return passes::lower_decode(graph, progress).graph;
  });
}

Witness PersistentProgram::witness() const {
  Witness witness = ReplayedProgram::witness();
  const at::Tensor progress = progress_.cpu();
  witness.persistent_steps = progress.const_data_ptr<int64_t>()[0];
  witness.stages = progress.const_data_ptr<int64_t>()[1];
  return witness;
}

}  // namespace samebits
