#pragma once

#include <c10/core/Device.h>

#include <memory>

#include "harness/graph/replay_graph.h"

namespace samebits {

// Where graphs of programs on `device` are captured: CUDA graphs, or their emulation on a CPU.
std::shared_ptr<ReplayPool> make_pool(c10::Device device);

}  // namespace samebits
