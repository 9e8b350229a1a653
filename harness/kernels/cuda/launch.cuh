#pragma once

// Launches that overlap: a kernel is brought onto the card while the one before it on the stream
// still runs (programmatic dependent launch), and waits there for its end.

#include <cuda_runtime.h>

#include "harness/kernels/cpu/rowwise.h"

namespace samebits::cuda {

// Every kernel that launch() starts calls this first, in every block, before it touches memory.
// All that went before on the stream has then finished: a kernel that did not wait would end before
// its predecessors, and let the next one go ahead of them.
__device__ inline void wait_for_earlier_kernels() {
  asm volatile("griddepcontrol.launch_dependents;\n");
  asm volatile("griddepcontrol.wait;\n" ::: "memory");
}

// A launch that fails is reported by the operator that asked for it, as any other.
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, int threads, size_t shared_bytes,
            cudaStream_t stream, Arguments... arguments) {
  cudaLaunchAttribute overlap{};
  overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  overlap.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  config.attrs = &overlap;
  config.numAttrs = 1;
  cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
}

// Lets a kernel use more shared memory than the 48 KiB that every kernel may.
template <typename Kernel>
void allow_shared_memory(Kernel kernel, size_t bytes) {
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                       static_cast<int>(bytes));
}

// Calls f with an element of the dtype.
template <typename F>
void with_element(bool bf16, F f) {
  if (bf16) {
    f(Bf16{});
  } else {
    f(float{});
  }
}

}  // namespace samebits::cuda
