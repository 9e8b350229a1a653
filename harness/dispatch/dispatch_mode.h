#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

namespace samebits {

// Where a mode stands. Above autograd it sees whole operators, before decomposition; below it sees
// what autograd made of them, the backward's calls included. Both are above DTensor.
enum class ModeLevel { kAboveAutograd, kBelowAutograd };

// Sees every operator call that a thread makes at its level. The tracer and the recorder are modes.
// While call() runs, this mode is off and the modes below it are on, so op.callBoxed(stack) reaches
// the next mode and, below the last, the kernels; calls that those kernels make are not seen.
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
  explicit DispatchModeGuard(DispatchMode& mode, ModeLevel level = ModeLevel::kAboveAutograd);
  ~DispatchModeGuard();
  DispatchModeGuard(const DispatchModeGuard&) = delete;
  DispatchModeGuard& operator=(const DispatchModeGuard&) = delete;

 private:
  ModeLevel level_;
};

// For the kernel behind kDTensorDispatchKey, which every call reaches while a mode below autograd
// is on: hands the call to the innermost one. False where there is none.
bool call_mode_below_autograd(const c10::OperatorHandle& op, torch::jit::Stack* stack);

}  // namespace samebits
