#include "harness/kernels/cuda/runtime/checks.h"

#include <c10/util/Exception.h>
#include <c10/util/StringUtil.h>

namespace samebits::cuda {

void check_call(cudaError_t error, const std::string& what) {
  if (error == cudaSuccess) return;
  (void)cudaGetLastError();  // it is `error`, which is thrown
  throw c10::AcceleratorError({__func__, __FILE__, __LINE__}, error,
                              c10::str("CUDA: ", what, ": ", cudaGetErrorString(error)));
}

void check_launch(cudaError_t error, const LaunchSize& size) {
  if (error == cudaSuccess) return;
  const auto& [grid, threads, shared_bytes] = size;
  check_call(error, c10::str("a kernel was not launched (", grid.x, " x ", grid.y, " x ", grid.z,
                             " blocks of ", threads, " threads, ", shared_bytes,
                             " bytes of shared memory)"));
}

}  // namespace samebits::cuda
