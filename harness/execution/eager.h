#pragma once

#include "harness/execution/program.h"

namespace samebits {

// Mode `eager`: the program's own code, at every call.
class EagerProgram : public ExecutedProgram {
 public:
  EagerProgram(const Mode& mode, const ProgramSpec& spec) : ExecutedProgram(mode, spec) {}

  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs, ReplayDigests*) override {
    return program()(on_device(inputs));
  }
  Witness witness() const override { return {.eager_calls = entries()}; }
};

}  // namespace samebits
