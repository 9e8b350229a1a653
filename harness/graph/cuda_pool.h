#pragma once

#include <memory>

#include "harness/graph/replay_graph.h"

namespace samebits {

// Real CUDA graphs (cuda_replay_graph.h) of the current device, in one private pool of LibTorch's
// caching allocator. Captures are on a stream of their own, replays on the current one. Buffers
// stay as long as the pool or one of its graphs; what is left of one without padding has every bit
// set. Buffers that were made one after the other are neighbours, and what is copied to neighbours
// from the CPU at once goes there as one.
//
// A graph's witness counts the launches of the driver's nodes, not of our calls.
//
// Throws c10::Error in a build without CUDA.
std::shared_ptr<ReplayPool> make_cuda_pool();

}  // namespace samebits
