#pragma once

#include <c10/core/SymInt.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "harness/capture/sym/condition.h"
#include "harness/capture/sym/expr.h"

namespace samebits {

// One fact about the sizes that the traced program relied on, and who asked for it.
struct Guard {
  sym::Condition condition;
  std::string file;  // the source line that asked, relative to the checkout; empty: c10 itself
  int64_t line = 0;
  std::string
      during;  // "samebits::linear in layers.0.wq"; empty: the program itself, between operators

  // "s0 >= 2  (asked at harness/model/x.cpp:12 while tracing samebits::linear)"
  std::string str() const;
};

// The symbols of one trace, the sizes they had (hints), and the guards asked of them. Sizes are
// never specialised by themselves: a guard appears only where the program or a rule compares, and
// the bounds do not decide. A handle: copies, and the c10::SymInt made here, share one state.
class ShapeEnv {
 public:
  struct Symbol {
    std::string name;
    int64_t hint;
    int64_t at_least;
  };

  ShapeEnv();

  // The symbol of that name. Asked again under the same name it is the same symbol, and the hint
  // must be the same (else InputError). The hint must not be below `at_least`.
  sym::Expr create_symbol(const std::string& name, int64_t hint, int64_t at_least = 0);
  const std::vector<Symbol>& symbols() const;
  const std::vector<int64_t>& hints() const;  // by symbol id

  // The value under the hints; adds a guard unless the condition is constant or already there.
  bool guard(const sym::Condition& condition, const char* file, int64_t line);
  const std::vector<Guard>& guards() const;
  // What is being traced; new guards carry it. relocate() rewrites it for the guards [first, last),
  // once names are known that were not when they were asked.
  void set_location(std::string during);
  void relocate(size_t first, size_t last, const std::string& during);

  // Expressions as c10 sees them, and back. Constants are plain integers in both directions; an
  // integer of another environment is refused.
  c10::SymInt sym_int_from_expr(const sym::Expr& e) const;
  sym::Expr expr_from_sym_int(const c10::SymInt& i) const;

  // Whether both are one environment.
  friend bool operator==(const ShapeEnv& a, const ShapeEnv& b) { return a.state_ == b.state_; }

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace samebits
