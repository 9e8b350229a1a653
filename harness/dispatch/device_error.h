#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/util/Exception.h>

#include <string>
#include <utility>

namespace samebits {

// Runs `call`, which calls `op`. Where a card has no memory left or fails meanwhile, `op` is named
// in the error: the innermost one, once.
template <typename Call>
decltype(auto) naming_operator(const c10::OperatorHandle& op, Call&& call) {
  const auto name = [&](c10::Error& error) {
    if (error.context().empty()) error.add_context(op.schema().name());
  };
  try {
    return std::forward<Call>(call)();
  } catch (c10::OutOfMemoryError& error) {
    name(error);
    throw;
  } catch (c10::AcceleratorError& error) {
    name(error);
    throw;
  }
}

// An error of LibTorch in one line: where, and what it says first. A kernel's failure shows at the
// next call that waits for the card, which nobody names.
inline std::string error_line(const c10::Error& error) {
  std::string line = error.msg().substr(0, error.msg().find('\n'));
  if (error.context().empty() && dynamic_cast<const c10::AcceleratorError*>(&error)) {
    line.append(" (CUDA_LAUNCH_BLOCKING=1 names the operator)");
  }
  for (const std::string& context : error.context()) line.insert(0, context + ": ");
  return line;
}

}  // namespace samebits
