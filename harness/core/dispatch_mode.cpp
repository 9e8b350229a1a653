#include "harness/core/dispatch_mode.h"

#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/library.h>

#include <vector>

#include "harness/core/dispatch_keys.h"

namespace samebits {
namespace {

// Innermost last. The mode key is in the thread's include set exactly while this is not empty.
thread_local std::vector<DispatchMode*> tls_modes;

void include_mode_key() {
  c10::impl::tls_set_dispatch_key_included(kModeDispatchKey, !tls_modes.empty());
}

// Takes the innermost mode off while it runs, also when it throws.
class SuspendInnermostMode {
 public:
  SuspendInnermostMode() : mode_(tls_modes.back()) {
    tls_modes.pop_back();
    include_mode_key();
  }
  ~SuspendInnermostMode() {
    tls_modes.push_back(mode_);
    include_mode_key();
  }
  DispatchMode& mode() { return *mode_; }

 private:
  DispatchMode* mode_;
};

void call_innermost_mode(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  TORCH_INTERNAL_ASSERT(!tls_modes.empty(), "the mode key is on, but no mode is");
  SuspendInnermostMode suspend;
  suspend.mode().call(op, stack);
}

}  // namespace

DispatchModeGuard::DispatchModeGuard(DispatchMode& mode) {
  tls_modes.push_back(&mode);
  include_mode_key();
}

DispatchModeGuard::~DispatchModeGuard() {
  tls_modes.pop_back();
  include_mode_key();
}

int dispatch_mode_depth() { return static_cast<int>(tls_modes.size()); }

TORCH_LIBRARY_IMPL(_, TESTING_ONLY_GenericMode, m) {
  static_assert(kModeDispatchKey == c10::DispatchKey::TESTING_ONLY_GenericMode);
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&call_innermost_mode>());
}

}  // namespace samebits
