#pragma once

// What a call to the CUDA runtime or driver answers, checked at once. A launch that is refused is
// told there and then or never: results would be whatever memory held before, and a graph that is
// being captured would just lack the kernel. boxed.h adds the operator's name.

#include <cuda_runtime_api.h>

#include <cstddef>
#include <string>

namespace samebits::cuda {

// Throws c10::AcceleratorError, "CUDA: {what}: {error}", unless `error` is success. The runtime's
// record of the last error is cleared, so that nobody meets it again under another name.
void check_call(cudaError_t error, const std::string& what);

// What a launch asks for.
struct LaunchSize {
  dim3 grid;
  int threads;
  size_t shared_bytes;
};
void check_launch(cudaError_t error, const LaunchSize& size);

}  // namespace samebits::cuda
