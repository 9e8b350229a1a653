#pragma once

#include "harness/execution/replayed.h"

namespace samebits {

// Mode `persistent`: as full_graph, of a graph that was lowered to stages (capture/persistent/),
// which a card runs as one kernel.
class PersistentProgram : public ReplayedProgram {
 public:
  PersistentProgram(const Mode& mode, ProgramSpec spec);

  Witness witness() const override;

 private:
  at::Tensor progress_;  // int64 [2] on the model's device: steps and stages, as they count them
};

}  // namespace samebits
