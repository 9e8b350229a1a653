#include "harness/graph/cuda_pool.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/cuda/CUDAException.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "harness/graph/copy_box.h"
#include "harness/graph/cuda_replay_graph.h"
#include "harness/kernels/cuda/runtime/to_host.h"
#include "harness/kernels/device.h"

namespace samebits {
namespace {

constexpr int64_t kAlignment = 256;   // of a buffer
constexpr int64_t kSlab = 64 * 1024;  // bytes that buffers are cut from, if they are no larger
constexpr int64_t kMostBytesByKernel = 4 * 1024;  // of a value that is read

int64_t aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

char* address_of(const BufferCopy* copy) {
  return static_cast<char*>(copy->to.memory.mutable_data_ptr());
}

char* end_of(const BufferCopy* copy) { return address_of(copy) + copy->to.memory.nbytes(); }

// What is to stand in a buffer, into memory of the CPU.
void write_box(char* here, const BufferCopy& copy) {
  const at::Tensor& memory = copy.to.memory;
  const auto& [to, value, padding] = copy;
  if (value.sizes() != memory.sizes()) {
    padding ? fill_values(here, memory.scalar_type(), memory.numel(), *padding)
            : static_cast<void>(std::memset(here, 0xff, memory.nbytes()));
  }
  copy_box(here, memory.sizes(), value);
}

// Pinned memory, for what is on its way between the CPU and the card. It is kept: memory of the
// allocator's has an event recorded and asked for each time, which takes longer than the copy.
class Pinned {
 public:
  char* with_room_for(int64_t bytes) {
    if (memory_.defined() && memory_.numel() >= bytes) return data();
    const auto options = at::TensorOptions().dtype(at::kByte).pinned_memory(true);
    memory_ = at::empty({std::max(bytes, kSlab)}, options);
    return data();
  }

 private:
  char* data() const { return static_cast<char*>(memory_.mutable_data_ptr()); }

  at::Tensor memory_;
};

// Copies that are neighbours on the card, which are one.
struct Run {
  std::vector<const BufferCopy*> copies;  // ascending

  char* begin() const { return address_of(copies.front()); }
  int64_t bytes() const { return end_of(copies.back()) - begin(); }
};

std::vector<Run> runs_of(std::vector<const BufferCopy*> copies) {
  std::sort(copies.begin(), copies.end(), [](const BufferCopy* one, const BufferCopy* other) {
    return address_of(one) < address_of(other);
  });
  std::vector<Run> runs;
  for (const BufferCopy* copy : copies) {
    const bool goes_on =
        !runs.empty() && address_of(copy) - end_of(runs.back().copies.back()) < kAlignment;
    if (!goes_on) runs.emplace_back();
    runs.back().copies.push_back(copy);
  }
  return runs;
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

int64_t aligned_bytes(const at::Tensor& value) {
  return aligned(static_cast<int64_t>(value.nbytes()));
}

// Dense values of the card, one after the other to pinned memory: few of few bytes by a kernel.
void send_to(char* here, const std::vector<at::Tensor>& values, cudaStream_t stream) {
  std::array<cuda::ToHost, cuda::kMostToHost> few{};
  size_t next = 0;
  for (const at::Tensor& value : values) {
    const auto bytes = static_cast<int64_t>(value.nbytes());
    if (next < few.size() && bytes <= kMostBytesByKernel) {
      few[next++] = {value.const_data_ptr(), here, bytes};
    } else {
      C10_CUDA_CHECK(
          cudaMemcpyAsync(here, value.const_data_ptr(), bytes, cudaMemcpyDeviceToHost, stream));
    }
    here += aligned(bytes);
  }
  if (next > 0) cuda::copy_to_host(few, stream);
}

// Values as send_to() leaves them.
std::vector<at::Tensor> copied_from(const char* here, const std::vector<at::Tensor>& values) {
  std::vector<at::Tensor> copies;
  for (const at::Tensor& value : values) {
    copies.push_back(at::empty(value.sizes(), value.options().device(at::kCPU)));
    std::memcpy(copies.back().mutable_data_ptr(), here, value.nbytes());
    here += aligned_bytes(value);
  }
  return copies;
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
    copy_from_cpu(from_cpu);
    for (const BufferCopy& copy : copies) {
      state_->writes.wrote(copy.to.memory.const_data_ptr(), copy.to.name);
    }
  }

  std::vector<at::Tensor> read(const std::vector<at::Tensor>& values) override {
    std::vector<at::Tensor> dense;
    int64_t bytes = 0;
    for (const at::Tensor& value : values) {
      dense.push_back(value.contiguous());
      bytes += aligned_bytes(value);
    }
    char* const here = received_.with_room_for(bytes);
    const auto stream = c10::cuda::getCurrentCUDAStream();
    send_to(here, dense, stream);
    stream.synchronize();
    is_sending_ = false;
    return copied_from(here, values);
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
    const int64_t wanted = aligned(bytes);
    if (slabs.empty() || slabs.back().numel() - used_ < wanted) {
      const auto options = at::TensorOptions().dtype(at::kByte).device(at::kCUDA);
      slabs.push_back(at::empty({std::max(wanted, kSlab)}, options));
      used_ = 0;
    }
    char* const at = static_cast<char*>(slabs.back().mutable_data_ptr()) + used_;
    used_ += wanted;
    return at;
  }

  // Nothing is waited for, unless what the copies before these brought may still be on its way.
  void copy_from_cpu(const std::vector<const BufferCopy*>& copies) {
    if (copies.empty()) return;
    const auto stream = c10::cuda::getCurrentCUDAStream();
    if (is_sending_) stream.synchronize();
    const std::vector<Run> runs = runs_of(copies);
    int64_t bytes = 0;
    for (const Run& run : runs) bytes += aligned(run.bytes());
    char* here = sent_.with_room_for(bytes);
    for (const Run& run : runs) {
      for (const BufferCopy* copy : run.copies) {
        write_box(here + (address_of(copy) - run.begin()), *copy);
      }
      C10_CUDA_CHECK(
          cudaMemcpyAsync(run.begin(), here, run.bytes(), cudaMemcpyHostToDevice, stream));
      here += aligned(run.bytes());
    }
    is_sending_ = true;
  }

  std::shared_ptr<CudaPoolState> state_ = std::make_shared<CudaPoolState>();
  int64_t used_ = 0;  // bytes of the newest slab
  Pinned sent_, received_;
  bool is_sending_ = false;  // what sent_ holds may be read by the card
};

}  // namespace

std::shared_ptr<ReplayPool> make_cuda_pool() { return std::make_shared<CudaPool>(); }

}  // namespace samebits
