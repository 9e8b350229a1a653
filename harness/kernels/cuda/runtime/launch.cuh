#pragma once

// Launches that overlap: a kernel is brought onto the card while the one before it on the stream
// still runs (programmatic dependent launch), and waits there for its end.

#include <cuda_runtime.h>

#include <map>
#include <string>
#include <utility>

#include "harness/kernels/cpu/rowwise.h"
#include "harness/kernels/cuda/runtime/checks.h"

namespace samebits::cuda {

// NOTE [Kernels that overlap]
// Every kernel that launch() starts waits, in every block, for all that went before on the stream:
// one that did not would end before its predecessors, and let the next go ahead of them. There are
// two kinds.
//   ordinary  calls wait_for_earlier_kernels() before it touches memory. When the next one begins,
//             whatever came before this one has ended, and what it wrote can be seen.
//   early     calls let_next_kernel_begin() first and wait_before_writing() before it writes. Until
//             then it reads what no kernel since the last ordinary one, that one included, writes,
//             and past the processor's own cache. So neighbours that need nothing of each other
//             run at once.
// An ordinary kernel may read such memory before its call as well. After a kernel in order,
// or one that is not ours, nothing is safe to read: the next begins when its blocks have ended,
// before what they wrote can be seen. boxed.h keeps the record.
// The first of an operator's two kernels is early where the second one reads, before it waits, only
// what was settled when the operator began: so that the second is on the card when the first ends,
// and not two microseconds later.
__device__ inline void wait_before_writing() {
  asm volatile("griddepcontrol.wait;\n" ::: "memory");
}
__device__ inline void let_next_kernel_begin() {
  asm volatile("griddepcontrol.launch_dependents;\n");
}
__device__ inline void wait_for_earlier_kernels() {
  wait_before_writing();
  let_next_kernel_begin();
}

enum class Order {
  kOverlaps,  // the kernel waits by itself, as above
  kInOrder,   // it begins when all before it on the stream has ended
};

// The one place where kernels are launched; a refused launch throws (checks.h). Blocks whose x
// differs by less than `cluster` (which divides the grid's, at most 8) are on the card together.
// A grid without blocks is no launch.
template <typename... Parameters, typename... Arguments>
void launch_kernel(void (*kernel)(Parameters...), Order order, int cluster, const LaunchSize& size,
                   cudaStream_t stream, Arguments... arguments) {
  if (size.grid.x == 0 || size.grid.y == 0 || size.grid.z == 0) return;
  cudaLaunchAttribute attributes[2]{};
  attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[0].val.programmaticStreamSerializationAllowed = order == Order::kOverlaps ? 1 : 0;
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  attributes[1].val.clusterDim = {static_cast<unsigned>(cluster), 1, 1};
  cudaLaunchConfig_t config{};
  config.gridDim = size.grid;
  config.blockDim = dim3(static_cast<unsigned>(size.threads));
  config.dynamicSmemBytes = size.shared_bytes;
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = cluster > 1 ? 2 : 1;
  check_launch(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...), size);
}

template <typename... Parameters, typename... Arguments>
void launch_clusters(void (*kernel)(Parameters...), int cluster, dim3 grid, int threads,
                     size_t shared_bytes, cudaStream_t stream, Arguments... arguments) {
  launch_kernel(kernel, Order::kOverlaps, cluster, {grid, threads, shared_bytes}, stream,
                arguments...);
}

template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, int threads, size_t shared_bytes,
            cudaStream_t stream, Arguments... arguments) {
  launch_clusters(kernel, /*cluster=*/1, grid, threads, shared_bytes, stream, arguments...);
}

template <typename... Parameters, typename... Arguments>
void launch_in_order(void (*kernel)(Parameters...), dim3 grid, int threads, size_t shared_bytes,
                     cudaStream_t stream, Arguments... arguments) {
  launch_kernel(kernel, Order::kInOrder, /*cluster=*/1, {grid, threads, shared_bytes}, stream,
                arguments...);
}

// In two halves: what comes between is not held up.
__device__ inline void arrive_at_cluster() {
  asm volatile("barrier.cluster.arrive.release.aligned;\n" ::: "memory");
}
__device__ inline void wait_for_cluster() {
  asm volatile("barrier.cluster.wait.acquire.aligned;\n" ::: "memory");
}
// Waits for every thread of the cluster, and sees what it wrote before, on the card's memory too.
__device__ inline void sync_cluster() {
  arrive_at_cluster();
  wait_for_cluster();
}

// Lets a kernel use more shared memory than the 48 KiB that every kernel may. Asking the driver
// takes longer than many a launch, so a thread does it only where a kernel wants more than it ever
// had.
template <typename Kernel>
void allow_shared_memory(Kernel kernel, size_t bytes) {
  thread_local std::map<std::pair<Kernel, int>, size_t> allowed;  // by kernel and card
  int card = 0;
  check_call(cudaGetDevice(&card), "asking for the current card");
  size_t& most = allowed[{kernel, card}];
  if (bytes <= most) return;
  check_call(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(bytes)),
             "allowing a kernel " + std::to_string(bytes) + " bytes of shared memory");
  most = bytes;
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
