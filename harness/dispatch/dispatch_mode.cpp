#include "harness/dispatch/dispatch_mode.h"

#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/library.h>

#include <vector>

#include "harness/dispatch/dispatch_keys.h"

namespace samebits {
namespace {

// The modes of one level, innermost last. Its key is in the thread's include set exactly while
// there are some.
struct Modes {
  c10::DispatchKey key;
  std::vector<DispatchMode*> stack;

  void include_key() const { c10::impl::tls_set_dispatch_key_included(key, !stack.empty()); }
};

Modes& modes_of(ModeLevel level) {
  thread_local Modes above{kModeDispatchKey, {}};
  thread_local Modes below{kDTensorDispatchKey, {}};
  return level == ModeLevel::kAboveAutograd ? above : below;
}

// Takes the innermost mode off while it runs, also when it throws.
class SuspendInnermostMode {
 public:
  explicit SuspendInnermostMode(Modes& modes) : modes_(modes), mode_(modes.stack.back()) {
    modes_.stack.pop_back();
    modes_.include_key();
  }
  ~SuspendInnermostMode() {
    modes_.stack.push_back(mode_);
    modes_.include_key();
  }
  DispatchMode& mode() { return *mode_; }

 private:
  Modes& modes_;
  DispatchMode* mode_;
};

void call_innermost(Modes& modes, const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  SuspendInnermostMode suspend(modes);
  suspend.mode().call(op, stack);
}

void call_mode_above_autograd(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  Modes& modes = modes_of(ModeLevel::kAboveAutograd);
  TORCH_INTERNAL_ASSERT(!modes.stack.empty(), "the mode key is on, but no mode is");
  call_innermost(modes, op, stack);
}

}  // namespace

DispatchModeGuard::DispatchModeGuard(DispatchMode& mode, ModeLevel level) : level_(level) {
  Modes& modes = modes_of(level);
  modes.stack.push_back(&mode);
  modes.include_key();
}

DispatchModeGuard::~DispatchModeGuard() {
  Modes& modes = modes_of(level_);
  modes.stack.pop_back();
  modes.include_key();
}

bool call_mode_below_autograd(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  Modes& modes = modes_of(ModeLevel::kBelowAutograd);
  if (modes.stack.empty()) return false;
  call_innermost(modes, op, stack);
  return true;
}

TORCH_LIBRARY_IMPL(_, TESTING_ONLY_GenericMode, m) {
  static_assert(kModeDispatchKey == c10::DispatchKey::TESTING_ONLY_GenericMode);
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&call_mode_above_autograd>());
}

}  // namespace samebits
