#pragma once

#include "harness/execution/replayed.h"

namespace samebits {

// Mode `persistent`: as full_graph, of a graph that was lowered to stages (capture/persistent/),
// which a card runs as one kernel. That kernel reads all weights for every kDecodeTokens tokens, so
// a larger bucket is faster there as the graph after the pass `fuse`, and is one.
class PersistentProgram : public ReplayedProgram {
 public:
  PersistentProgram(const Mode& mode, const ProgramSpec& spec);

  Witness witness() const override;

 protected:
  void note_replay(const std::vector<int64_t>& buckets) override;

 private:
  bool is_fused(int64_t bucket) const;

  int64_t fused_steps_ = 0;
  at::Tensor progress_;  // int64 [2] on the model's device: steps and stages, as they count them
};

}  // namespace samebits
