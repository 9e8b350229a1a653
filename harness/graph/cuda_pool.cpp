#include "harness/graph/cuda_pool.h"

#include <ATen/ops/empty.h>

#include <utility>

#include "harness/graph/cuda_replay_graph.h"
#include "harness/kernels/device.h"

namespace samebits {
namespace {

class CudaPool final : public ReplayPool {
 public:
  CudaPool() {
    throw_device_fault();  // allocates its record, which a capture may not do
  }

  c10::Device device() const override { return at::kCUDA; }

  StaticBuffer make_buffer(std::string name, at::IntArrayRef sizes, at::ScalarType dtype) override {
    TORCH_CHECK(c10::multiply_integers(sizes) > 0, name, " has no elements");
    const at::Tensor memory = at::empty(sizes, at::TensorOptions().dtype(dtype).device(at::kCUDA));
    state_->buffers.push_back(memory);
    state_->writes.wrote(memory.const_data_ptr(), name);
    return {std::move(name), memory};
  }

  void copy(const StaticBuffer& to, const at::Tensor& value,
            std::optional<int64_t> padding) override {
    check_copy(to, value, padding);
    const at::Tensor& memory = to.memory;
    at::Tensor box = memory;
    if (value.sizes() != memory.sizes()) {
      padding ? memory.fill_(*padding) : memory.view(at::kByte).fill_(0xff);
      for (int64_t d = 0; d < memory.dim(); ++d) box = box.narrow(d, 0, value.size(d));
    }
    // From pinned memory nothing is waited for; its allocator keeps it until the copy has ended.
    box.copy_(value.is_cpu() ? value.pin_memory() : value, /*non_blocking=*/true);
    state_->writes.wrote(memory.const_data_ptr(), to.name);
  }

  std::unique_ptr<ReplayGraph> capture(std::string name, const Program& program,
                                       const std::vector<at::Tensor>& inputs) override {
    return std::make_unique<CudaReplayGraph>(std::move(name), state_, program, inputs);
  }

  size_t bytes_used() const override {
    size_t bytes = state_->memory->bytes();
    for (const at::Tensor& buffer : state_->buffers) bytes += buffer.nbytes();
    return bytes;
  }

 private:
  std::shared_ptr<CudaPoolState> state_ = std::make_shared<CudaPoolState>();
};

}  // namespace

std::shared_ptr<ReplayPool> make_cuda_pool() { return std::make_shared<CudaPool>(); }

}  // namespace samebits
