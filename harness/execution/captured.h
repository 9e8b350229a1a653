#pragma once

#include "harness/capture/captured_program.h"
#include "harness/execution/held_parameters.h"
#include "harness/execution/program.h"

namespace samebits {

// Mode `captured`: the graph that was traced of the program, after the mode's passes, node by node.
// Sizes are symbolic, so one graph serves every call; where guards are kept, a call at which one is
// false is traced anew.
class GraphProgram : public ExecutedProgram {
 public:
  GraphProgram(const Mode& mode, ProgramSpec spec);

  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs,
                              ReplayDigests* digests) override;
  Witness witness() const override;
  std::vector<GuardRecord> guards() const override { return captured_.ledger(); }
  std::vector<std::shared_ptr<const ir::Graph>> graphs() const override {
    return captured_.graphs();
  }
  std::vector<std::string> saved_graphs() const override;  // saved_graph.h

 protected:
  void check_parameters() { parameters_.check(); }
  CapturedProgram& captured() { return captured_; }

 private:
  HeldParameters parameters_;
  CapturedProgram captured_;
};

}  // namespace samebits
