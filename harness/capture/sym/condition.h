#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/capture/sym/expr.h"

namespace samebits::sym {

// A truth about symbols, canonical like Expr: comparisons are kept as `e == 0`, `e != 0` or
// `e >= 0` in lowest terms, so that a comparison asked twice, in whatever form, is one condition.
// What the bounds of the symbols decide is a constant condition at once.
class Condition {
 public:
  enum class Kind { constant, eq, ne, ge, all, any };

  Condition(bool value = true);  // NOLINT(google-explicit-constructor): truths are conditions
  static Condition eq(const Expr& a, const Expr& b);
  static Condition ne(const Expr& a, const Expr& b);
  static Condition ge(const Expr& a, const Expr& b);
  static Condition gt(const Expr& a, const Expr& b);
  static Condition le(const Expr& a, const Expr& b) { return ge(b, a); }
  static Condition lt(const Expr& a, const Expr& b) { return gt(b, a); }
  friend Condition operator!(const Condition& a);
  friend Condition operator&&(const Condition& a, const Condition& b);
  friend Condition operator||(const Condition& a, const Condition& b);

  Kind kind() const { return kind_; }
  // The truth value if it does not depend on any symbol.
  std::optional<bool> constant() const;
  // The expression that eq, ne and ge compare with 0.
  const Expr& expr() const { return expr_; }
  // The parts of all and any.
  const std::vector<Condition>& parts() const { return parts_; }

  bool evaluate(const std::vector<int64_t>& symbols) const;
  // "s0 >= 2", "s0 % 2 == 0", "s0 == 1 and s1 >= 3".
  std::string str() const;
  friend bool operator==(const Condition& a, const Condition& b);

 private:
  static Condition compare_with_zero(Kind kind, Expr e);
  static Condition combine(Kind kind, const Condition& a, const Condition& b);

  Kind kind_ = Kind::constant;
  bool value_ = true;
  Expr expr_;
  std::vector<Condition> parts_;
};

}  // namespace samebits::sym
