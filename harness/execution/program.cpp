#include "harness/execution/program.h"

#include "harness/execution/captured.h"
#include "harness/execution/eager.h"
#include "harness/execution/persistent.h"
#include "harness/execution/replayed.h"

namespace samebits {

Counters counters_of(const std::vector<const ProgramRecord*>& programs) {
  Counters counters;
  for (const ProgramRecord* each : programs) {
    const Counters more = counters_of(each->witness(), each->name(), each->mode());
    counters.insert(counters.end(), more.begin(), more.end());
  }
  return counters;
}

std::vector<GuardRecord> guards_of(const std::vector<const ProgramRecord*>& programs) {
  std::vector<GuardRecord> guards;
  for (const ProgramRecord* each : programs) {
    const std::vector<GuardRecord> more = each->guards();
    guards.insert(guards.end(), more.begin(), more.end());
  }
  return guards;
}

ExecutedProgram::ExecutedProgram(const Mode& mode, const ProgramSpec& spec)
    : name_(spec.name),
      mode_(mode),
      model_(spec.model),
      program_([this, program = spec.program](const std::vector<at::Tensor>& inputs) {
        ++entries_;
        return program(inputs);
      }) {}

std::vector<at::Tensor> ExecutedProgram::on_device(std::vector<at::Tensor> tensors) const {
  for (at::Tensor& tensor : tensors) {
    if (tensor.device() != model_.device()) tensor = tensor.to(model_.device());
  }
  return tensors;
}

std::unique_ptr<ExecutedProgram> make_executed(const Mode& mode, ProgramSpec spec) {
  switch (mode.execution) {
    case Execution::kEager:
      return std::make_unique<EagerProgram>(mode, spec);
    case Execution::kCaptured:
      return std::make_unique<GraphProgram>(mode, std::move(spec));
    case Execution::kPiecewise:
    case Execution::kFullGraph:
    case Execution::kFullAndPiecewise:
      return std::make_unique<ReplayedProgram>(mode, spec);
    case Execution::kPersistent:
      return std::make_unique<PersistentProgram>(mode, spec);
  }
  throw std::logic_error("unreachable");
}

}  // namespace samebits
