#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>
#include <c10/core/DispatchKeySet.h>

#include <functional>

namespace samebits {

// Sees every operator call of a thread, also those that kernels and other operators make, which a
// DispatchMode does not.
class OperatorWatch {
 public:
  virtual ~OperatorWatch() = default;

  // Called with the arguments of `op` on top of `stack`; leaves its returns there instead, by
  // pass_on() or otherwise. The watch stays on meanwhile.
  virtual void call(const c10::OperatorHandle& op, c10::DispatchKeySet below,
                    torch::jit::Stack* stack) = 0;

 protected:
  // Hands the call to the watch that was put on after this one; behind the last are the kernels.
  void pass_on(const c10::OperatorHandle& op, c10::DispatchKeySet below, torch::jit::Stack* stack) {
    if (inner_ != nullptr) {
      inner_->call(op, below, stack);
    } else {
      op.redispatchBoxed(below, stack);
    }
  }

 private:
  friend class OperatorWatchGuard;
  OperatorWatch* inner_ = nullptr;
};

// The tensors among the arguments of a call, lists flattened, undefined ones skipped. They lie on
// top of the stack.
void for_each_argument_tensor(const c10::OperatorHandle& op, const torch::jit::Stack& stack,
                              const std::function<void(const at::Tensor&)>& visit);

// Counts calls and lets them through.
class CallCounter final : public OperatorWatch {
 public:
  void call(const c10::OperatorHandle& op, c10::DispatchKeySet below,
            torch::jit::Stack* stack) override {
    ++calls;
    pass_on(op, below, stack);
  }
  int64_t calls = 0;
};

// Puts a watch on this thread for the guard's lifetime. Guards nest: a call comes to the outermost
// watch first, and to the others as each passes it on. Borrowed.
class OperatorWatchGuard {
 public:
  explicit OperatorWatchGuard(OperatorWatch& watch);
  ~OperatorWatchGuard();
  OperatorWatchGuard(const OperatorWatchGuard&) = delete;
  OperatorWatchGuard& operator=(const OperatorWatchGuard&) = delete;

 private:
  OperatorWatch* outer_;
};

// No watch of this thread sees a call for the guard's lifetime: those of an observer are none of
// the program's.
class OperatorWatchPause {
 public:
  OperatorWatchPause();
  ~OperatorWatchPause();
  OperatorWatchPause(const OperatorWatchPause&) = delete;
  OperatorWatchPause& operator=(const OperatorWatchPause&) = delete;

  // Whether one lives on this thread, for who sees calls by other means. There need be no watch.
  static bool is_there();

 private:
  bool was_on_;
};

}  // namespace samebits
