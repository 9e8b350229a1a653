#include "harness/graph/cuda_pool.h"

#include <ATen/cuda/CUDAGraph.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/GradMode.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>

#include <utility>

#include "harness/dtensor/dtensor.h"
#include "harness/graph/operator_watch.h"
#include "harness/kernels/device.h"

namespace samebits {
namespace {

namespace allocator = c10::cuda::CUDACachingAllocator;

// The same memory, without a share in it.
at::Tensor unowned(const at::Tensor& x) {
  return at::from_blob(const_cast<void*>(x.const_data_ptr()), x.sizes(), x.strides(), x.options());
}

at::Tensor unowned_value(const at::Tensor& value) {
  if (!is_dtensor(value)) return unowned(value);
  std::vector<at::Tensor> locals;
  for (const at::Tensor& local : locals_of(value)) locals.push_back(unowned(local));
  return make_dtensor(spec_of(value), value.sym_sizes(), value.scalar_type(), std::move(locals));
}

int64_t allocations() {
  const auto stats = allocator::getDeviceStats(c10::cuda::current_device());
  return stats.allocation[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)]
      .allocated;
}

int64_t kernels_of(cudaGraph_t graph) {
  size_t count = 0;
  C10_CUDA_CHECK(cudaGraphGetNodes(graph, nullptr, &count));
  std::vector<cudaGraphNode_t> nodes(count);
  C10_CUDA_CHECK(cudaGraphGetNodes(graph, nodes.data(), &count));
  int64_t kernels = 0;
  for (const cudaGraphNode_t node : nodes) {
    cudaGraphNodeType type{};
    C10_CUDA_CHECK(cudaGraphNodeGetType(node, &type));
    kernels += type == cudaGraphNodeTypeKernel ? 1 : 0;
  }
  return kernels;
}

class CudaReplayGraph final : public ReplayGraph {
 public:
  CudaReplayGraph(at::cuda::MempoolId_t pool, c10::cuda::CUDAStream stream, const Program& program,
                  const std::vector<at::Tensor>& inputs) {
    const c10::NoGradGuard no_grad;
    // What was put on the current stream is done before anything of the capture can run.
    c10::cuda::device_synchronize();
    {
      const c10::cuda::CUDAStreamGuard capturing(stream);
      graph_.capture_begin(pool, cudaStreamCaptureModeThreadLocal);
      try {
        for (const at::Tensor& output : program(inputs)) {
          outputs_.push_back(unowned_value(output));
        }
      } catch (...) {
        end_broken_capture();
        throw;
      }
      graph_.capture_end();
    }
    launches_ = kernels_of(graph_.raw_cuda_graph());
    graph_.instantiate();
  }

  void replay() override {
    CallCounter counter;
    const int64_t before = allocations();
    {
      const OperatorWatchGuard watch(counter);
      graph_.replay();
    }
    ++witness_.replays;
    witness_.launches += launches_;
    witness_.dispatcher_calls += counter.calls;
    witness_.allocations += allocations() - before;
  }

  size_t outputs() const override { return outputs_.size(); }
  at::Tensor output(size_t index) const override { return outputs_.at(index); }
  const ReplayWitness& witness() const override { return witness_; }

 private:
  // The stream must not stay in capture; that the capture is broken is known already.
  void end_broken_capture() {
    try {
      graph_.capture_end();
    } catch (const c10::Error&) {
    }
    (void)cudaGetLastError();
  }

  at::cuda::CUDAGraph graph_{/*keep_graph=*/true};  // its nodes are counted
  int64_t launches_ = 0;
  std::vector<at::Tensor> outputs_;
  ReplayWitness witness_;
};

class CudaPool final : public ReplayPool {
 public:
  CudaPool() : pool_(at::cuda::graph_pool_handle()), stream_(c10::cuda::getStreamFromPool()) {
    throw_device_fault();  // allocates its record, which a capture may not do
  }

  StaticBuffer make_buffer(std::string name, at::IntArrayRef sizes, at::ScalarType dtype) override {
    TORCH_CHECK(c10::multiply_integers(sizes) > 0, name, " has no elements");
    buffers_.push_back(at::empty(sizes, at::TensorOptions().dtype(dtype).device(at::kCUDA)));
    return {std::move(name), buffers_.back()};
  }

  void copy(const StaticBuffer& to, const at::Tensor& value,
            std::optional<int64_t> padding) override {
    const at::Tensor& memory = to.memory;
    bool fits = value.scalar_type() == memory.scalar_type() && value.dim() == memory.dim();
    for (int64_t d = 0; fits && d < memory.dim(); ++d) fits = value.size(d) <= memory.size(d);
    TORCH_CHECK(fits, to.name, " is ", memory.scalar_type(), " ", memory.sizes(), ", found ",
                value.scalar_type(), " ", value.sizes());
    if (padding) {
      memory.fill_(*padding);
    } else if (value.sizes() != memory.sizes()) {
      memory.view(at::kByte).fill_(0xff);
    }
    at::Tensor box = memory;
    for (int64_t d = 0; d < memory.dim(); ++d) box = box.narrow(d, 0, value.size(d));
    box.copy_(value);
  }

  std::unique_ptr<ReplayGraph> capture(std::string name, const Program& program,
                                       const std::vector<at::Tensor>& inputs) override {
    try {
      return std::make_unique<CudaReplayGraph>(pool_, stream_, program, inputs);
    } catch (c10::Error& error) {
      error.add_context(name);
      throw;
    }
  }

  size_t bytes_used() const override {
    size_t bytes = 0;
    for (const auto& segment : allocator::snapshot(pool_, /*include_traces=*/false).segments) {
      bytes += segment.total_size;
    }
    for (const at::Tensor& buffer : buffers_) bytes += buffer.nbytes();
    return bytes;
  }

 private:
  at::cuda::MempoolId_t pool_;
  c10::cuda::CUDAStream stream_;
  std::vector<at::Tensor> buffers_;
};

}  // namespace

std::shared_ptr<ReplayPool> make_cuda_pool() { return std::make_shared<CudaPool>(); }

}  // namespace samebits
