#include "harness/graph/static_graph.h"

#include <fmt/format.h>

#include <utility>

namespace samebits {

StaticGraph::StaticGraph(const std::string& name, std::shared_ptr<ReplayPool> pool,
                         const Program& program, const std::vector<at::Tensor>& examples)
    : pool_(std::move(pool)) {
  std::vector<at::Tensor> memory;
  for (size_t i = 0; i < examples.size(); ++i) {
    inputs_.push_back(pool_->make_buffer(fmt::format("static input {} of {}", i, name),
                                         examples[i].sizes(), examples[i].scalar_type()));
    memory.push_back(inputs_.back().memory);
  }
  graph_ = pool_->capture(name, program, memory);
}

void StaticGraph::copy_input(size_t index, const at::Tensor& value,
                             std::optional<int64_t> padding) {
  pool_->copy(inputs_.at(index), value, padding);
}

void StaticGraph::copy_inputs(const std::vector<at::Tensor>& values) {
  std::vector<BufferCopy> copies;
  for (size_t i = 0; i < values.size(); ++i) copies.push_back({inputs_.at(i), values[i], {}});
  pool_->copy(copies);
}

}  // namespace samebits
