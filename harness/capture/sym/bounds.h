#pragma once

#include <cstdint>
#include <optional>

#include "harness/capture/sym/expr.h"

namespace samebits::sym {

// What is known of an expression's value whatever its symbols are, within their `at_least`; nullopt
// is unbounded. Sound, not complete.
std::optional<int64_t> lower_bound(const Expr& e);
std::optional<int64_t> upper_bound(const Expr& e);

}  // namespace samebits::sym
