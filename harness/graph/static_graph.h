#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/graph/replay_graph.h"

namespace samebits {

// One program captured by itself, with a static buffer for each of its inputs.
class StaticGraph {
 public:
  // The buffers have the sizes and dtypes of `examples`, whose values are not read. `name` is for
  // messages.
  StaticGraph(const std::string& name, std::shared_ptr<ReplayPool> pool, const Program& program,
              const std::vector<at::Tensor>& examples);

  // As ReplayPool::copy().
  void copy_input(size_t index, const at::Tensor& value, std::optional<int64_t> padding = {});
  void copy_inputs(const std::vector<at::Tensor>& values);

  ReplayGraph& graph() { return *graph_; }
  void replay() { graph_->replay(); }

 private:
  std::shared_ptr<ReplayPool> pool_;
  std::vector<StaticBuffer> inputs_;
  std::unique_ptr<ReplayGraph> graph_;
};

}  // namespace samebits
