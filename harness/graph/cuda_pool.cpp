#include "harness/graph/cuda_pool.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "harness/graph/copy_box.h"
#include "harness/graph/cuda_replay_graph.h"
#include "harness/kernels/device.h"

namespace samebits {
namespace {

constexpr int64_t kAlignment = 256;   // of a buffer
constexpr int64_t kSlab = 64 * 1024;  // bytes that buffers are cut from, if they are no larger

at::Tensor bytes_at(char* data, int64_t count) {
  return at::for_blob(data, {count})
      .options(at::TensorOptions().dtype(at::kByte).device(at::kCUDA))
      .make_tensor();
}

char* address_of(const BufferCopy* copy) {
  return static_cast<char*>(copy->to.memory.mutable_data_ptr());
}

char* end_of(const BufferCopy* copy) { return address_of(copy) + copy->to.memory.nbytes(); }

// What is to stand in a buffer, into memory of the CPU.
void write_box(char* here, const BufferCopy& copy) {
  const at::Tensor& memory = copy.to.memory;
  const auto& [to, value, padding] = copy;
  if (value.sizes() != memory.sizes()) {
    padding ? fill_indices(here, memory.scalar_type(), memory.numel(), *padding)
            : static_cast<void>(std::memset(here, 0xff, memory.nbytes()));
  }
  copy_box(here, memory.sizes(), value);
}

// One copy for each run of neighbours.
void copy_from_cpu(std::vector<const BufferCopy*> copies) {
  std::sort(copies.begin(), copies.end(), [](const BufferCopy* one, const BufferCopy* other) {
    return address_of(one) < address_of(other);
  });
  for (size_t first = 0, end = 0; first < copies.size(); first = end) {
    char* const begin = address_of(copies[first]);
    for (end = first + 1; end < copies.size(); ++end) {
      if (address_of(copies[end]) - end_of(copies[end - 1]) >= kAlignment) break;
    }
    // From pinned memory nothing is waited for; its allocator keeps it until the copy has ended.
    const at::Tensor here = at::empty({end_of(copies[end - 1]) - begin},
                                      at::TensorOptions().dtype(at::kByte).pinned_memory(true));
    for (size_t i = first; i < end; ++i) {
      write_box(static_cast<char*>(here.mutable_data_ptr()) + (address_of(copies[i]) - begin),
                *copies[i]);
    }
    bytes_at(begin, here.numel()).copy_(here, /*non_blocking=*/true);
  }
}

void copy_on_card(const BufferCopy& copy) {
  const auto& [to, value, padding] = copy;
  at::Tensor box = to.memory;
  if (value.sizes() != box.sizes()) {
    padding ? box.fill_(*padding) : box.view(at::kByte).fill_(0xff);
    for (int64_t d = 0; d < value.dim(); ++d) box = box.narrow(d, 0, value.size(d));
  }
  box.copy_(value, /*non_blocking=*/true);
}

class CudaPool final : public ReplayPool {
 public:
  CudaPool() {
    throw_device_fault();  // allocates its record, which a capture may not do
  }

  c10::Device device() const override { return at::kCUDA; }

  StaticBuffer make_buffer(std::string name, at::IntArrayRef sizes, at::ScalarType dtype) override {
    const int64_t count = c10::multiply_integers(sizes);
    TORCH_CHECK(count > 0, name, " has no elements");
    const auto options = at::TensorOptions().dtype(dtype).device(at::kCUDA);
    char* const data = allocate(count * static_cast<int64_t>(c10::elementSize(dtype)));
    const at::Tensor memory = at::for_blob(data, sizes)
                                  .deleter([slab = state_->buffers.back()](void*) {})
                                  .options(options)
                                  .make_tensor();
    state_->writes.wrote(memory.const_data_ptr(), name);
    return {std::move(name), memory};
  }

  using ReplayPool::copy;
  void copy(const std::vector<BufferCopy>& copies) override {
    std::vector<const BufferCopy*> from_cpu;
    for (const BufferCopy& copy : copies) {
      check_copy(copy.to, copy.value, copy.padding);
      copy.value.is_cpu() ? from_cpu.push_back(&copy) : copy_on_card(copy);
    }
    copy_from_cpu(std::move(from_cpu));
    for (const BufferCopy& copy : copies) {
      state_->writes.wrote(copy.to.memory.const_data_ptr(), copy.to.name);
    }
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
  // Of the newest slab, or of a new one.
  char* allocate(int64_t bytes) {
    std::vector<at::Tensor>& slabs = state_->buffers;
    const int64_t aligned = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    if (slabs.empty() || slabs.back().numel() - used_ < aligned) {
      const auto options = at::TensorOptions().dtype(at::kByte).device(at::kCUDA);
      slabs.push_back(at::empty({std::max(aligned, kSlab)}, options));
      used_ = 0;
    }
    char* const at = static_cast<char*>(slabs.back().mutable_data_ptr()) + used_;
    used_ += aligned;
    return at;
  }

  std::shared_ptr<CudaPoolState> state_ = std::make_shared<CudaPoolState>();
  int64_t used_ = 0;  // bytes of the newest slab
};

}  // namespace

std::shared_ptr<ReplayPool> make_cuda_pool() { return std::make_shared<CudaPool>(); }

}  // namespace samebits
