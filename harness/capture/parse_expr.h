#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "harness/capture/sym/expr.h"

namespace samebits::sym {

// The expression that Expr::str() wrote: parse_expr(e.str(), symbols) == e. `symbols` are the
// expressions of the symbols that may occur, found by their names. Throws std::invalid_argument
// that says what was expected where (the text is not quoted in it), and what the arithmetic throws.
Expr parse_expr(std::string_view text, const std::vector<Expr>& symbols);

// Whether a symbol of this name can be read back: a letter or _, then letters, digits and _, and
// neither "min" nor "max".
bool is_symbol_name(std::string_view name);

}  // namespace samebits::sym
