#pragma once

#include <memory>
#include <string>
#include <vector>

#include "harness/graph/arena.h"
#include "harness/graph/replay_graph.h"

namespace samebits {

// Emulated graphs (emulated_graph.h) in one arena. What is left of a buffer without padding is
// poison.
class EmulatedPool final : public ReplayPool {
 public:
  explicit EmulatedPool(std::shared_ptr<Arena> arena = std::make_shared<Arena>());

  c10::Device device() const override { return at::kCPU; }
  StaticBuffer make_buffer(std::string name, at::IntArrayRef sizes, at::ScalarType dtype) override;
  using ReplayPool::copy;
  void copy(const std::vector<BufferCopy>& copies) override;
  std::vector<at::Tensor> read(const std::vector<at::Tensor>& values) override;
  std::unique_ptr<ReplayGraph> capture(std::string name, const Program& program,
                                       const std::vector<at::Tensor>& inputs) override;
  size_t bytes_used() const override { return arena_->bytes_used(); }

 private:
  std::shared_ptr<Arena> arena_;
};

}  // namespace samebits
