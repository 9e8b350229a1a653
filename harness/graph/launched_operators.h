#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <string>

namespace samebits {

// What an operator may do while a thread captures.
enum class OnCapture {
  kRuns,      // a view, an allocation, or an operator whose elements are touched in launches only
  kLaunched,  // computes on the spot on a CPU; launched_operator() does the same in launches
  kRefused,   // anything else, host reads included
};

// `name` without overload: "aten::view".
OnCapture on_capture(const std::string& name);

// Stands in for a kLaunched operator on plain CPU tensors, with its values (data_movement.h). The
// results are contiguous. Returns false, with the stack as it was, for arguments that it does not
// know, such as another dtype.
bool launched_operator(const std::string& name, torch::jit::Stack* stack);

}  // namespace samebits
