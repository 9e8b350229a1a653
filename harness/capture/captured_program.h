#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "harness/capture/executor.h"
#include "harness/capture/tracer.h"
#include "harness/core/case.h"

namespace samebits {

// The proof that a program ran captured.
struct CaptureWitness {
  int64_t traces = 0;
  int64_t runs = 0;
  int64_t nodes_executed = 0;
  int64_t guards_checked = 0;
  int64_t guards_false = 0;
};

// A dropped guard that was false when the graph ran anyway.
struct GuardViolation {
  std::string guard;  // Guard::str()
  std::string sizes;  // "s0=1, s1=40"
  int64_t times = 0;
};

// What a guard that turns false does (GuardPolicy, core/case.h). kKeep: the program is traced again
// for the new sizes, and both graphs stay, found by their guards. kDrop: the symbolic shapes are
// trusted and the first graph runs, as vLLM's integration does; the ledger says what that ignored.
//
// A program that is traced at its first call and executed from its graph at every call, the first
// included: the program itself never computes anything.
class CapturedProgram {
 public:
  CapturedProgram(Program program, std::vector<DynamicDim> dynamic_dims, GuardPolicy policy);

  std::vector<at::Tensor> operator()(const std::vector<at::Tensor>& inputs);

  const CaptureWitness& witness() const { return witness_; }
  // What `drop` ignored, in order of first occurrence. Empty under `keep`.
  const std::vector<GuardViolation>& ledger() const { return ledger_; }
  // In order of tracing.
  std::vector<std::shared_ptr<const ir::Graph>> graphs() const;

 private:
  struct Entry;
  Entry& add_trace(const std::vector<at::Tensor>& inputs);
  bool guards_hold(const ir::Graph& graph, const std::vector<int64_t>& symbols);
  void record(GuardViolation violation);
  std::vector<at::Tensor> run(Entry& entry, const std::vector<at::Tensor>& inputs,
                              const std::vector<int64_t>& symbols);

  Program program_;
  std::vector<DynamicDim> dynamic_dims_;
  GuardPolicy policy_;
  std::vector<std::shared_ptr<Entry>> entries_;
  CaptureWitness witness_;
  std::vector<GuardViolation> ledger_;
};

}  // namespace samebits
