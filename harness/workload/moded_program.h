#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "harness/capture/captured_program.h"
#include "harness/case/case.h"
#include "harness/workload/held_parameters.h"

namespace samebits {

// A program in an arm's mode, eager or captured: itself at every call, or the graph that was traced
// of it. Its witness shows which of them computed.
class ModedProgram {
 public:
  // `name`: of the counters. `model`, borrowed: whose parameters the program takes; a captured one
  // throws RunError at a call after one was replaced. The rest as of CapturedProgram; eager, only
  // the program is used.
  ModedProgram(std::string name, const Qwen3& model, Program program, Execution execution,
               std::vector<DynamicDim> dynamic_dims, GuardPolicy guards, ModeLevel level);
  ModedProgram(const ModedProgram&) = delete;  // the captured one counts here
  ModedProgram& operator=(const ModedProgram&) = delete;

  std::vector<at::Tensor> operator()(const std::vector<at::Tensor>& inputs);

  // Counters, cumulative: name.eager_calls (times that the program itself computed), and if it is
  // captured those of counters_of.
  std::vector<std::pair<std::string, int64_t>> witness() const;

  // The graphs that ran, for a person, and their guards. Empty for an eager one.
  std::vector<std::string> printed_graphs() const;
  std::vector<GuardRecord> guards() const;

 private:
  std::string name_;
  HeldParameters parameters_;
  Program program_;
  std::unique_ptr<CapturedProgram> captured_;  // null: eager
  int64_t entries_ = 0;                        // into program_, traces included
};

}  // namespace samebits
