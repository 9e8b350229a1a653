#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "harness/capture/executor.h"
#include "harness/capture/guard_ledger.h"
#include "harness/capture/guard_policy.h"
#include "harness/capture/tracer.h"

namespace samebits {

// The proof that a program ran captured.
struct CaptureWitness {
  int64_t traces = 0;
  int64_t loads = 0;  // graphs that were given instead of traced
  int64_t runs = 0;
  int64_t nodes_executed = 0;
  int64_t guards_checked = 0;
  int64_t guards_false = 0;
};

// A program that is traced at its first call and executed from its graph at every call, the first
// included: the program itself never computes anything.
class CapturedProgram {
 public:
  // `level`: kBelowAutograd for a program that differentiates (tracer.h). Sizes that dimensions are
  // to be traced at are those of the first trace. Where its guards, kept, are false at the call
  // that asked for it, the call is traced again at its own sizes.
  CapturedProgram(Program program, std::vector<DynamicDim> dynamic_dims, GuardPolicy policy,
                  ModeLevel level = ModeLevel::kAboveAutograd);

  // What is done to every graph after it was traced. To be set before the first call.
  void set_transform(std::function<ir::Graph(ir::Graph)> transform);

  // A graph that was captured before, of this program: served from the next call on.
  void add_graph(ir::Graph graph);

  std::vector<at::Tensor> operator()(const std::vector<at::Tensor>& inputs);

  // Which graph runs for these inputs, and its symbols' values, for who executes it otherwise. Asks
  // the guards and traces as a call does, and reads no values.
  struct Served {
    std::shared_ptr<const ir::Graph> graph;
    std::vector<int64_t> symbols;
  };
  Served serve(const std::vector<at::Tensor>& inputs);

  CaptureWitness witness() const;
  // Every guard of every graph, in order of tracing. What is false under `drop` was ignored; under
  // `keep` another graph was asked, or traced.
  std::vector<GuardRecord> ledger() const;
  // In order of tracing.
  std::vector<std::shared_ptr<const ir::Graph>> graphs() const;

 private:
  struct Entry;
  Entry& add_trace(const std::vector<at::Tensor>& inputs);
  Entry& add_entry(ir::Graph graph);
  // Fills `symbols`.
  Entry& entry_for(const std::vector<at::Tensor>& inputs, std::vector<int64_t>& symbols);
  Entry& chosen_entry(const std::vector<at::Tensor>& inputs, std::vector<int64_t>& symbols);

  Program program_;
  std::vector<DynamicDim> dynamic_dims_;
  GuardPolicy policy_;
  ModeLevel level_;
  std::function<ir::Graph(ir::Graph)> transform_;  // may be empty
  std::vector<std::shared_ptr<Entry>> entries_;
  CaptureWitness witness_;
};

}  // namespace samebits
