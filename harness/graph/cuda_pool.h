#pragma once

#include <memory>

#include "harness/graph/replay_graph.h"

namespace samebits {

// Real CUDA graphs, of the current device, that share one private pool of LibTorch's caching
// allocator (at::cuda::CUDAGraph). Captures are on a stream of their own, replays on the current
// one. A program that does what a capturing stream does not permit throws the driver's own error.
// Buffers stay until the pool goes; what is left of one without padding has every bit set.
//
// A graph's witness counts the launches of the driver's nodes, not of our calls.
//
// Throws c10::Error in a build without CUDA.
std::shared_ptr<ReplayPool> make_cuda_pool();

}  // namespace samebits
