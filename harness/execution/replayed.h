#pragma once

#include <vector>

#include "harness/execution/captured.h"
#include "harness/graph/replayer.h"

namespace samebits {

// Modes `full_graph`, `full_graph_always`, `piecewise` and `full_and_piecewise`: calls are replays
// of launches that were captured of the graph, whole or in pieces between its attentions, which run
// eagerly; inputs are padded to buckets. A call that fits no form, or no bucket of it, runs node by
// node.
class ReplayedProgram : public GraphProgram {
 public:
  // The spec has a ReplayForm or more.
  ReplayedProgram(const Mode& mode, const ProgramSpec& spec);

  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs,
                              ReplayDigests* digests) override;
  Witness witness() const override;

 protected:
  // As of Replayer, for every form.
  void set_lowering(const Replayer::Lowering& lowering);
  // Before a replay of these buckets.
  virtual void note_replay(const std::vector<int64_t>& /*buckets*/) {}

 private:
  struct Form {
    decltype(ReplayForm::call) call;
    Replayer replayer;
  };
  std::vector<Form> forms_;
};

}  // namespace samebits
