#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/capture/ir/graph.h"
#include "harness/capture/sym/shape_env.h"
#include "harness/dispatch/dispatch_mode.h"

namespace samebits {

// What can be captured: a function of tensors. Anything else that it uses (parameters, caches,
// tables) becomes a constant of the graph, by reference.
using Program = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)>;

// Dimension `dim` of input `input` is the symbol `symbol`, whose value is never assumed to be below
// `at_least`. The same symbol named twice is one size. Every other size is static. `traced_at`:
// what the trace takes the size for, instead of the example's.
struct DynamicDim {
  int input;
  int dim;
  std::string symbol;
  int64_t at_least = 0;
  std::optional<int64_t> traced_at = {};
};

// Records the calls that `program` makes on inputs shaped like `example_inputs`. The program runs
// once, on fake tensors without data: no kernel runs, nothing is allocated, nothing is written.
// Guards go into `env` and the graph.
//
// Above autograd, the default, the graph has the program's own operators and no gradients. Below it
// autograd is on and the graph has what it made of them: a program that ends with the gradients of
// its loss (torch::autograd::grad) becomes one joint graph of forward and backward.
//
// Errors: an operator without a shape rule (named), operators whose result sizes or Python-side
// values depend on data (item(), nonzero()), access to a fake tensor's data, a dynamic dimension
// that an input does not have, one symbol for two different example sizes, a size to trace at that
// is below the symbol's least (InputError).
ir::Graph trace(const Program& program, const std::vector<at::Tensor>& example_inputs,
                const std::vector<DynamicDim>& dynamic_dims, ShapeEnv& env,
                ModeLevel level = ModeLevel::kAboveAutograd);

}  // namespace samebits
