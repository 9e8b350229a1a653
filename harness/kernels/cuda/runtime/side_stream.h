#pragma once

#include <ATen/core/Tensor.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

namespace samebits::cuda {

// A stream beside one that captures, for launches whose results nothing of the capture reads: they
// become a branch of the graph, which other launches do not wait for. Of the calling thread, one at
// a time, from before the capture until it has ended.
class SideStream {
 public:
  explicit SideStream(c10::cuda::CUDAStream captured);
  ~SideStream();
  SideStream(const SideStream&) = delete;
  SideStream& operator=(const SideStream&) = delete;

  // Makes the captured stream wait for the branch: the last thing before the capture ends.
  void join();

  // The thread's, or null.
  static SideStream* current();

  // A stream that comes after what was captured so far. What the tensors hold stays there until the
  // graph is captured, so nothing that is captured later writes over it.
  cudaStream_t fork(at::TensorList reads);

 private:
  c10::cuda::CUDAStream captured_;
  c10::cuda::CUDAStream side_;
  bool is_forked_ = false;
};

}  // namespace samebits::cuda
