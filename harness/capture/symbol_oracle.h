#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "harness/capture/ir/graph.h"
#include "harness/capture/tracer.h"

namespace samebits {

// A traced size that is not the size.
struct SizeMismatch {
  std::string sizes;   // "s0=1": at which
  std::string value;   // the node that gave it, as the graph prints it
  std::string traced;  // "[2*s0 - 2*(s0//2), 2048]"
  std::vector<int64_t> evaluated;
  std::vector<int64_t> eager;

  // "s0=1: %1: f32[2*s0 - 2*(s0//2), 2048] R = ... evaluates to [2, 2048], eager gives [1, 2048]"
  std::string str() const;
};

// Runs `program` eagerly on `inputs` and compares the sizes of every tensor that its
// operators give with the graph's symbolic ones, evaluated at the sizes of these inputs. Call it
// for every size that the graph may be asked to serve; the hint of the trace alone proves nothing.
//
// It sees sizes, not values, and only as far as the program makes the same calls: where eager takes
// another branch, the first call that differs is thrown as c10::Error, naming both.
std::vector<SizeMismatch> symbol_oracle(const ir::Graph& graph, const Program& program,
                                        const std::vector<at::Tensor>& inputs);

}  // namespace samebits
