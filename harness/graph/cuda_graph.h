#pragma once

#include <c10/core/Allocator.h>
#include <c10/core/Device.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <memory>

namespace samebits {

// A private pool of LibTorch's caching allocator, on the current device. Its memory stays as long
// as anybody shares it.
class PrivatePool {
 public:
  PrivatePool();
  ~PrivatePool();
  PrivatePool(const PrivatePool&) = delete;
  PrivatePool& operator=(const PrivatePool&) = delete;

  c10::MempoolId_t id() const { return id_; }
  c10::DeviceIndex device() const { return device_; }

  // Of all segments that it has taken from the driver.
  size_t bytes() const;
  // The segments as they are now, to ask about many addresses.
  std::function<bool(const void*)> membership() const;

 private:
  c10::MempoolId_t id_;
  c10::DeviceIndex device_;
};

// What `body` puts on a stream, as an executable graph of the driver; its tensors come from the
// pool. Where `body` throws, or the driver does not permit what it does, stream, allocator and
// generator are left as they were: at::cuda::CUDAGraph, which does the same, leaves its pool in
// capture then.
class CudaGraph {
 public:
  CudaGraph(std::shared_ptr<PrivatePool> pool, c10::cuda::CUDAStream stream,
            const std::function<void()>& body);
  ~CudaGraph();
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  void launch();  // on the current stream
  int64_t kernels() const { return kernels_; }

 private:
  std::shared_ptr<PrivatePool> pool_;
  cudaGraphExec_t executable_ = nullptr;
  int64_t kernels_ = 0;
};

}  // namespace samebits
