#include "harness/kernels/cuda/runtime/launch.cuh"
#include "harness/kernels/cuda/runtime/to_host.h"

namespace samebits::cuda {
namespace {

constexpr int kThreads = 128;

struct Values {
  ToHost of[kMostToHost];
};

// Grid: values.
__global__ void to_host_kernel(const __grid_constant__ Values values) {
  const auto [from, to, bytes] = values.of[blockIdx.x];
  for (int64_t i = threadIdx.x; i < bytes; i += kThreads) {
    static_cast<char*>(to)[i] = static_cast<const char*>(from)[i];
  }
}

// A processor's memory stays divided as kernels with most of it shared want it: to divide it anew,
// the card would wait for them to end.
void keep_division() {
  static const bool is_kept = [] {
    check_call(cudaFuncSetAttribute(to_host_kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                                    cudaSharedmemCarveoutMaxShared),
               "asking for shared memory");
    return true;
  }();
  static_cast<void>(is_kept);
}

}  // namespace

void copy_to_host(const std::array<ToHost, kMostToHost>& values, cudaStream_t stream) {
  keep_division();
  Values copied{};
  for (int i = 0; i < kMostToHost; ++i) copied.of[i] = values[i];
  launch_in_order(to_host_kernel, kMostToHost, kThreads, 0, stream, copied);
}

}  // namespace samebits::cuda
