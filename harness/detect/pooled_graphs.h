#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "harness/detect/subject.h"
#include "harness/graph/replay_graph.h"

namespace samebits {

// Graphs of one program at several sizes, captured whole and in one pool, as buckets are. Each has
// static inputs of its own, made before the first capture; how its outputs are held is the
// subject's.
class PooledGraphs {
 public:
  // In the order of `sizes`. Inputs are plain. Throws c10::Error for what may not be captured.
  PooledGraphs(const Subject& subject, const std::vector<int64_t>& sizes);

  // `inputs`: for the size at `index`. Throws RunError for what a replay finds.
  void replay(size_t index, const std::vector<at::Tensor>& inputs);

  // Copies of the outputs as they are now. Throws RunError where the pool knows that they are gone.
  std::vector<at::Tensor> read(size_t index) const;

  // Of the pool: everything that a capture took and no later one could take again.
  size_t bytes_used() const { return pool_->bytes_used(); }

  // Nobody reads its outputs any more: fills those that may hold a NaN with it.
  void let_go(size_t index);

  // Memory that a graph had at capture, and whose it was.
  struct Memory {
    std::string who;  // "output 0 of the graph at 8"
    const char* begin;
    const char* end;
  };
  const std::vector<Memory>& outputs(size_t index) const { return graphs_.at(index).outputs; }
  // What its operators returned.
  const std::vector<Memory>& results(size_t index) const { return graphs_.at(index).results; }

 private:
  struct Captured {
    std::vector<StaticBuffer> inputs;
    std::unique_ptr<ReplayGraph> graph;
    std::vector<at::Tensor> owned;
    std::vector<Memory> outputs;
    std::vector<Memory> results;
  };
  void make_inputs(const std::string& name, const std::vector<at::Tensor>& example);
  void capture(const std::string& name, const Subject& subject, Captured& captured);

  std::shared_ptr<ReplayPool> pool_;
  std::vector<Captured> graphs_;
};

// Captures a subject at each of its sizes in one pool, replays all in that order, and only then
// reads what they left; of outputs that are held kUntilCopied, right after each replay. Compares
// with eager, bit for bit.
Outcome run_pooled(const Subject& subject);

}  // namespace samebits
