#include "harness/workload/moded_program.h"

#include "harness/capture/print.h"

namespace samebits {

ModedProgram::ModedProgram(std::string name, const Qwen3& model, Program program,
                           Execution execution, std::vector<DynamicDim> dynamic_dims,
                           GuardPolicy guards, ModeLevel level)
    : name_(std::move(name)),
      parameters_(model),
      program_([this, program = std::move(program)](const std::vector<at::Tensor>& inputs) {
        ++entries_;
        return program(inputs);
      }) {
  if (execution == Execution::kEager) return;
  captured_ = std::make_unique<CapturedProgram>(program_, std::move(dynamic_dims), guards, level);
}

std::vector<at::Tensor> ModedProgram::operator()(const std::vector<at::Tensor>& inputs) {
  if (!captured_) return program_(inputs);
  parameters_.check();
  return (*captured_)(inputs);
}

std::vector<std::pair<std::string, int64_t>> ModedProgram::witness() const {
  // Tracing enters the program without computing; every other entry is eager work.
  const CaptureWitness captured = captured_ ? captured_->witness() : CaptureWitness();
  std::vector<std::pair<std::string, int64_t>> counters{
      {name_ + ".eager_calls", entries_ - captured.traces}};
  if (!captured_) return counters;
  const auto more = counters_of(captured, name_);
  counters.insert(counters.end(), more.begin(), more.end());
  return counters;
}

std::vector<std::string> ModedProgram::printed_graphs() const {
  std::vector<std::string> printed;
  if (!captured_) return printed;
  for (const auto& graph : captured_->graphs()) printed.push_back(to_string(*graph));
  return printed;
}

std::vector<GuardRecord> ModedProgram::guards() const {
  return captured_ ? captured_->ledger() : std::vector<GuardRecord>();
}

}  // namespace samebits
