#include "harness/execution/program.h"

#include <iterator>

#include "harness/execution/aot_inductor.h"
#include "harness/execution/captured.h"
#include "harness/execution/eager.h"
#include "harness/execution/persistent.h"
#include "harness/execution/replayed.h"

namespace samebits {

namespace {

// What `of` gives of each program, one after the other.
template <typename Of>
auto joined(const std::vector<const ProgramRecord*>& programs, Of of) {
  decltype(of(*programs[0])) all;
  for (const ProgramRecord* each : programs) {
    auto more = of(*each);
    all.insert(all.end(), std::make_move_iterator(more.begin()),
               std::make_move_iterator(more.end()));
  }
  return all;
}

}  // namespace

Counters counters_of(const std::vector<const ProgramRecord*>& programs) {
  return joined(programs, [](const ProgramRecord& each) {
    return counters_of(each.witness(), each.name(), each.mode());
  });
}

std::vector<GuardRecord> guards_of(const std::vector<const ProgramRecord*>& programs) {
  return joined(programs, [](const ProgramRecord& each) { return each.guards(); });
}

std::vector<std::string> saved_graphs_of(const std::vector<const ProgramRecord*>& programs) {
  return joined(programs, [](const ProgramRecord& each) { return each.saved_graphs(); });
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
    case Execution::kFullGraphAlways:
    case Execution::kFullAndPiecewise:
      return std::make_unique<ReplayedProgram>(mode, spec);
    case Execution::kPersistent:
      return std::make_unique<PersistentProgram>(mode, spec);
    case Execution::kAotInductor:
      return std::make_unique<AotInductorProgram>(mode, std::move(spec));
  }
  throw std::logic_error("unreachable");
}

}  // namespace samebits
