#include "harness/kernels/cuda/runtime/launch.cuh"
#include "tests/graph/cuda_refused_launch.h"

namespace samebits::testing {
namespace {

__global__ void fill_kernel(float* to, float value) {
  cuda::wait_for_earlier_kernels();
  *to = value;
}

}  // namespace

void fill(float* to, float value, const FillLaunch& how, cudaStream_t stream) {
  if (how.allows) cuda::allow_shared_memory(fill_kernel, how.shared_bytes);
  how.overlaps
      ? cuda::launch(fill_kernel, dim3(1), 1, how.shared_bytes, stream, to, value)
      : cuda::launch_in_order(fill_kernel, dim3(1), 1, how.shared_bytes, stream, to, value);
}

}  // namespace samebits::testing
