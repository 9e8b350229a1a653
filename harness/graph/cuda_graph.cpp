#include "harness/graph/cuda_graph.h"

#include <ATen/Context.h>
#include <ATen/cuda/MemPool.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>

#include <algorithm>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "harness/kernels/cuda/runtime/side_stream.h"

namespace samebits {
namespace {

namespace allocator = c10::cuda::CUDACachingAllocator;

// Tensors that a stream allocates come from the pool while this lives.
class AllocatingFrom {
 public:
  AllocatingFrom(const PrivatePool& pool, cudaStream_t stream) : pool_(pool) {
    allocator::beginAllocateToPool(pool.device(), pool.id(),
                                   [stream](cudaStream_t other) { return other == stream; });
  }
  ~AllocatingFrom() {
    allocator::endAllocateToPool(pool_.device(), pool_.id());
    allocator::releasePool(pool_.device(), pool_.id());  // the share that the beginning took
  }
  AllocatingFrom(const AllocatingFrom&) = delete;
  AllocatingFrom& operator=(const AllocatingFrom&) = delete;

 private:
  const PrivatePool& pool_;
};

struct DestroyGraph {
  void operator()(cudaGraph_t graph) const { C10_CUDA_CHECK_WARN(cudaGraphDestroy(graph)); }
};
using Graph = std::unique_ptr<std::remove_pointer_t<cudaGraph_t>, DestroyGraph>;

Graph end_capture(cudaStream_t stream, cudaError_t* error) {
  cudaGraph_t graph = nullptr;
  *error = cudaStreamEndCapture(stream, &graph);
  return Graph(graph);
}

// The stream must not stay in capture. Returns what the card has to say beside the reason that is
// known already; a capture that was spoilt by that reason is no news.
std::string abandon_capture(cudaStream_t stream) {
  cudaError_t ending = cudaSuccess;
  end_capture(stream, &ending);
  const cudaError_t last = cudaGetLastError();
  std::string more;
  for (const cudaError_t error : {ending, last}) {
    if (error == cudaSuccess || error == cudaErrorStreamCaptureInvalidated) continue;
    more = std::string("while the capture was given up: ") + cudaGetErrorString(error);
  }
  return more;
}

Graph record(const PrivatePool& pool, c10::cuda::CUDAStream stream,
             const std::function<void()>& body) {
  const c10::cuda::CUDAStreamGuard current(stream);
  const AllocatingFrom allocating(pool, stream);
  cuda::SideStream side(stream);
  C10_CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  cudaError_t error = cudaSuccess;
  try {
    body();
    side.join();
    C10_CUDA_CHECK(cudaGetLastError());  // of a call that nobody checked
  } catch (c10::Error& thrown) {
    if (std::string more = abandon_capture(stream); !more.empty()) {
      thrown.add_context(std::move(more));
    }
    throw;
  } catch (...) {
    abandon_capture(stream);
    throw;
  }
  Graph graph = end_capture(stream, &error);
  C10_CUDA_CHECK(error);
  return graph;
}

int64_t kernels_of(cudaGraph_t graph) {
  size_t count = 0;
  C10_CUDA_CHECK(cudaGraphGetNodes(graph, nullptr, &count));
  std::vector<cudaGraphNode_t> nodes(count);
  C10_CUDA_CHECK(cudaGraphGetNodes(graph, nodes.data(), &count));
  return std::count_if(nodes.begin(), nodes.end(), [](cudaGraphNode_t node) {
    cudaGraphNodeType type{};
    C10_CUDA_CHECK(cudaGraphNodeGetType(node, &type));
    return type == cudaGraphNodeTypeKernel;
  });
}

}  // namespace

PrivatePool::PrivatePool()
    : id_(at::cuda::MemPool::graph_pool_handle()), device_(c10::cuda::current_device()) {
  at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);  // the allocator may not know it yet
  allocator::createOrIncrefPool(device_, id_);
}

PrivatePool::~PrivatePool() { allocator::releasePool(device_, id_); }

size_t PrivatePool::bytes() const {
  size_t bytes = 0;
  for (const auto& segment : allocator::snapshot(id_, /*include_traces=*/false).segments) {
    bytes += segment.total_size;
  }
  return bytes;
}

std::function<bool(const void*)> PrivatePool::membership() const {
  return [segments = allocator::snapshot(id_, /*include_traces=*/false).segments](const void* p) {
    const auto address = reinterpret_cast<size_t>(p);
    return std::any_of(segments.begin(), segments.end(), [&](const auto& segment) {
      return address >= segment.address && address - segment.address < segment.total_size;
    });
  };
}

CudaGraph::CudaGraph(std::shared_ptr<PrivatePool> pool, c10::cuda::CUDAStream stream,
                     const std::function<void()>& body)
    : pool_(std::move(pool)) {
  const Graph graph = record(*pool_, stream, body);
  kernels_ = kernels_of(graph.get());
  C10_CUDA_CHECK(cudaGraphInstantiate(&executable_, graph.get(), /*flags=*/0));
}

CudaGraph::~CudaGraph() { C10_CUDA_CHECK_WARN(cudaGraphExecDestroy(executable_)); }

void CudaGraph::launch() {
  C10_CUDA_CHECK(cudaGraphLaunch(executable_, c10::cuda::getCurrentCUDAStream()));
}

}  // namespace samebits
