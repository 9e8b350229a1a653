#pragma once

#include "harness/execution/captured.h"
#include "harness/graph/replayer.h"

namespace samebits {

// Modes `full_graph` and `piecewise`: calls are replays of launches that were captured of the
// graph, whole or in pieces between its attentions, which run eagerly; inputs are padded to a
// bucket. A call that is no replay (ReplayForm::extent) runs node by node.
class ReplayedProgram : public GraphProgram {
 public:
  // The spec has a ReplayForm.
  ReplayedProgram(const Mode& mode, ProgramSpec spec);

  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs,
                              ReplayDigests* digests) override;
  Witness witness() const override;

 protected:
  Replayer& replayer() { return replayer_; }

 private:
  ReplayForm form_;
  Replayer replayer_;
};

}  // namespace samebits
