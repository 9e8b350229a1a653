#include "harness/capture/sym/condition.h"

#include <algorithm>
#include <numeric>

#include "harness/capture/sym/arithmetic.h"
#include "harness/capture/sym/bounds.h"

namespace samebits::sym {
namespace {

// Greatest common divisor of the coefficients, the constant left out.
int64_t content(const Expr& e) {
  int64_t g = 0;
  for (const Term& term : e.terms()) {
    if (!term.factors.empty()) g = std::gcd(g, term.coefficient);
  }
  return g;
}

// Divides every coefficient by g and the constant by g rounding down.
Expr divide(const Expr& e, int64_t g) {
  std::vector<Term> terms = e.terms();
  for (Term& term : terms) term.coefficient = checked_floordiv(term.coefficient, g);
  return Expr::from_terms(std::move(terms));
}

}  // namespace

Condition::Condition(bool value) : value_(value) {}

Condition Condition::compare_with_zero(Kind kind, Expr e) {
  if (const auto c = e.constant()) {
    return kind == Kind::eq ? *c == 0 : kind == Kind::ne ? *c != 0 : *c >= 0;
  }
  const auto low = lower_bound(e);
  const auto high = upper_bound(e);
  const int64_t g = content(e);
  if (kind == Kind::ge) {
    if (low && *low >= 0) return true;
    if (high && *high < 0) return false;
    e = divide(e, g);
  } else {
    const bool apart = (low && *low > 0) || (high && *high < 0) || e.constant_term() % g != 0;
    if (apart) return kind == Kind::ne;
    // One sign for e == 0 and -e == 0.
    e = divide(e, e.terms()[0].coefficient < 0 ? -g : g);
  }
  Condition result;
  result.kind_ = kind;
  result.expr_ = std::move(e);
  return result;
}

Condition Condition::eq(const Expr& a, const Expr& b) { return compare_with_zero(Kind::eq, a - b); }
Condition Condition::ne(const Expr& a, const Expr& b) { return compare_with_zero(Kind::ne, a - b); }
Condition Condition::ge(const Expr& a, const Expr& b) { return compare_with_zero(Kind::ge, a - b); }
Condition Condition::gt(const Expr& a, const Expr& b) {
  return compare_with_zero(Kind::ge, a - b - Expr(1));
}

Condition operator!(const Condition& a) {
  using Kind = Condition::Kind;
  switch (a.kind_) {
    case Kind::constant:
      return !a.value_;
    case Kind::eq:
      return Condition::compare_with_zero(Kind::ne, a.expr_);
    case Kind::ne:
      return Condition::compare_with_zero(Kind::eq, a.expr_);
    case Kind::ge:
      return Condition::compare_with_zero(Kind::ge, Expr(-1) - a.expr_);
    case Kind::all:
    case Kind::any:
      break;
  }
  Condition result(a.kind_ == Kind::any);
  for (const Condition& part : a.parts_) {
    result = a.kind_ == Kind::all ? result || !part : result && !part;
  }
  return result;
}

Condition Condition::combine(Kind kind, const Condition& a, const Condition& b) {
  const bool neutral = kind == Kind::all;
  for (const Condition* c : {&a, &b}) {
    if (c->constant() == !neutral) return !neutral;
  }
  if (a.constant()) return b;
  if (b.constant()) return a;
  Condition result;
  result.kind_ = kind;
  for (const Condition* c : {&a, &b}) {
    const std::vector<Condition> parts = c->kind_ == kind ? c->parts_ : std::vector<Condition>{*c};
    for (const Condition& part : parts) {
      if (std::find(result.parts_.begin(), result.parts_.end(), part) == result.parts_.end()) {
        result.parts_.push_back(part);
      }
    }
  }
  return result.parts_.size() == 1 ? result.parts_[0] : result;
}

Condition operator&&(const Condition& a, const Condition& b) {
  return Condition::combine(Condition::Kind::all, a, b);
}
Condition operator||(const Condition& a, const Condition& b) {
  return Condition::combine(Condition::Kind::any, a, b);
}

std::optional<bool> Condition::constant() const {
  return kind_ == Kind::constant ? std::optional<bool>(value_) : std::nullopt;
}

bool Condition::evaluate(const std::vector<int64_t>& symbols) const {
  switch (kind_) {
    case Kind::constant:
      return value_;
    case Kind::eq:
      return expr_.evaluate(symbols) == 0;
    case Kind::ne:
      return expr_.evaluate(symbols) != 0;
    case Kind::ge:
      return expr_.evaluate(symbols) >= 0;
    case Kind::all:
    case Kind::any:
      break;
  }
  const auto holds = [&](const Condition& part) { return part.evaluate(symbols); };
  return kind_ == Kind::all ? std::all_of(parts_.begin(), parts_.end(), holds)
                            : std::any_of(parts_.begin(), parts_.end(), holds);
}

bool operator==(const Condition& a, const Condition& b) {
  return a.kind_ == b.kind_ && a.value_ == b.value_ && a.expr_ == b.expr_ && a.parts_ == b.parts_;
}

}  // namespace samebits::sym
