#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

namespace samebits {

// Sees every operator call that a thread makes, whole, before autograd, DTensor and decomposition.
// The tracer and the recorder are modes. While call() runs, this mode is off and the modes below it
// are on, so op.callBoxed(stack) reaches the next mode and, below the last, the kernels; calls that
// those kernels make are not seen.
class DispatchMode {
 public:
  virtual ~DispatchMode() = default;

  // Called with the arguments of `op` on top of `stack`; leaves its returns there instead.
  virtual void call(const c10::OperatorHandle& op, torch::jit::Stack* stack) = 0;
};

// Enters a mode on this thread for the guard's lifetime. Guards nest: the innermost is called
// first. The mode is borrowed and must outlive the guard.
class DispatchModeGuard {
 public:
  explicit DispatchModeGuard(DispatchMode& mode);
  ~DispatchModeGuard();
  DispatchModeGuard(const DispatchModeGuard&) = delete;
  DispatchModeGuard& operator=(const DispatchModeGuard&) = delete;
};

// How many modes are on for the calling thread.
int dispatch_mode_depth();

}  // namespace samebits
