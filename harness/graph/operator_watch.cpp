#include "harness/graph/operator_watch.h"

#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/library.h>

#include "harness/dispatch/dispatch_keys.h"

namespace samebits {
namespace {

thread_local OperatorWatch* tls_outermost = nullptr;
thread_local OperatorWatch* tls_innermost = nullptr;
thread_local int tls_pauses = 0;

void switch_on(bool is_on) { c10::impl::tls_set_dispatch_key_included(kWatchDispatchKey, is_on); }

void call_watch(const c10::OperatorHandle& op, c10::DispatchKeySet keys, torch::jit::Stack* stack) {
  TORCH_INTERNAL_ASSERT(tls_outermost, "the watch key is on, but no watch is");
  const c10::DispatchKeySet below =
      keys & c10::DispatchKeySet(c10::DispatchKeySet::FULL_AFTER, kWatchDispatchKey);
  tls_outermost->call(op, below, stack);
}

}  // namespace

void for_each_argument_tensor(const c10::OperatorHandle& op, const torch::jit::Stack& stack,
                              const std::function<void(const at::Tensor&)>& visit) {
  const auto visit_defined = [&](const at::Tensor& tensor) {
    if (tensor.defined()) visit(tensor);
  };
  for (size_t i = stack.size() - op.schema().arguments().size(); i < stack.size(); ++i) {
    if (stack[i].isTensor()) {
      visit_defined(stack[i].toTensor());
    } else if (stack[i].isTensorList()) {
      for (const at::Tensor& tensor : stack[i].toTensorVector()) visit_defined(tensor);
    }
  }
}

OperatorWatchGuard::OperatorWatchGuard(OperatorWatch& watch) : outer_(tls_innermost) {
  (outer_ == nullptr ? tls_outermost : outer_->inner_) = &watch;
  tls_innermost = &watch;
  switch_on(true);
}

OperatorWatchGuard::~OperatorWatchGuard() {
  (outer_ == nullptr ? tls_outermost : outer_->inner_) = nullptr;
  tls_innermost = outer_;
  switch_on(outer_ != nullptr);
}

OperatorWatchPause::OperatorWatchPause()
    : was_on_(c10::impl::tls_is_dispatch_key_included(kWatchDispatchKey)) {
  switch_on(false);
  ++tls_pauses;
}

OperatorWatchPause::~OperatorWatchPause() {
  --tls_pauses;
  switch_on(was_on_);
}

bool OperatorWatchPause::is_there() { return tls_pauses > 0; }

TORCH_LIBRARY_IMPL(_, TESTING_ONLY_GenericWrapper, m) {
  static_assert(kWatchDispatchKey == c10::DispatchKey::TESTING_ONLY_GenericWrapper);
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&call_watch>());
}

}  // namespace samebits
