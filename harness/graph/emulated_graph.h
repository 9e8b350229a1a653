#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "harness/capture/tracer.h"
#include "harness/graph/address_ledger.h"
#include "harness/graph/arena.h"
#include "harness/graph/graph_output.h"
#include "harness/graph/replay_graph.h"

namespace samebits {

// A CUDA graph on a CPU, under a GPU's rules: capture records the launches of a program without
// running them; replay runs them again on the same addresses, without the program, the dispatcher
// or an allocation.
//
// Capture refuses, with c10::Error in CUDA's words, what capture_rules.h refuses, and what host
// code writes into memory of the pool. Replay checks before it starts that everything from outside
// the pool that the graph holds by address is still there (address_ledger.h), that every input was
// written since the last replay, and by whom it should be; it poisons the memory that the program
// allocated first, so that nothing of an earlier replay can leak, and checks the redzones after.
// What it finds is a RunError in one line. Not thread-safe.
class EmulatedGraph final : public ReplayGraph {
 public:
  // Captures `program` on `inputs`, which are in the arena as outputs must be, plain or DTensors;
  // their values are not read. They are held by address only. `name` is for messages.
  EmulatedGraph(std::string name, std::shared_ptr<Arena> arena, const Program& program,
                const std::vector<at::Tensor>& inputs);
  EmulatedGraph(const EmulatedGraph&) = delete;
  EmulatedGraph& operator=(const EmulatedGraph&) = delete;

  void replay() override;

  size_t outputs() const override { return outputs_.size(); }
  at::Tensor output(size_t index) const override { return reference(index).view(); }
  // Of the last replay. Throws RunError before the first.
  GraphOutput reference(size_t index) const;

  const ReplayWitness& witness() const override { return witness_; }
  size_t launches() const { return launches_.size(); }

 private:
  struct Launch {
    const char* name;
    std::function<void()> body;
  };
  struct Input {
    size_t index;
    size_t block;
    std::string writer;  // who had the block when the graph was captured
  };
  class Recorder;

  void adopt_inputs(const std::vector<at::Tensor>& inputs);
  std::vector<at::Tensor> capture(const Program& program, const std::vector<at::Tensor>& inputs);
  void adopt_outputs(const std::vector<at::Tensor>& outputs);
  void check_before() const;
  void run_launches();
  void check_after() const;

  std::string name_;
  std::shared_ptr<Arena> arena_;
  std::vector<Input> inputs_;   // of a DTensor: one for each local
  std::vector<size_t> blocks_;  // that the program allocated
  std::vector<Launch> launches_;
  std::vector<GraphOutput> outputs_;
  AddressLedger ledger_;
  int64_t epoch_ = 0;  // of the last replay, or of capture
  ReplayWitness witness_;
};

}  // namespace samebits
