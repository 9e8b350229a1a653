#include "harness/capture/sym/expr.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "harness/capture/sym/arithmetic.h"
#include "harness/capture/sym/bounds.h"

namespace samebits::sym {
namespace {

int compare_ints(int64_t a, int64_t b) { return (a > b) - (a < b); }

int compare_atoms(const Atom& a, const Atom& b) {
  if (&a == &b) return 0;
  if (a.kind != b.kind) return compare_ints(static_cast<int>(a.kind), static_cast<int>(b.kind));
  if (a.kind == AtomKind::symbol) return compare_ints(a.id, b.id);
  if (a.operands.size() != b.operands.size()) {
    return compare_ints(a.operands.size(), b.operands.size());
  }
  for (size_t i = 0; i < a.operands.size(); ++i) {
    if (const int c = Expr::compare(a.operands[i], b.operands[i])) return c;
  }
  return 0;
}

bool atom_less(const AtomPtr& a, const AtomPtr& b) { return compare_atoms(*a, *b) < 0; }

// Products of higher degree first, so that the constant is last.
int compare_factors(const std::vector<AtomPtr>& a, const std::vector<AtomPtr>& b) {
  if (a.size() != b.size()) return compare_ints(b.size(), a.size());
  for (size_t i = 0; i < a.size(); ++i) {
    if (const int c = compare_atoms(*a[i], *b[i])) return c;
  }
  return 0;
}

// The factors of `a` without those of `b`, or nullopt where `b` does not divide `a`.
std::optional<std::vector<AtomPtr>> divide_factors(const std::vector<AtomPtr>& a,
                                                   const std::vector<AtomPtr>& b) {
  if (!std::includes(a.begin(), a.end(), b.begin(), b.end(), atom_less)) return std::nullopt;
  std::vector<AtomPtr> rest;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(rest), atom_less);
  return rest;
}

Expr make_atom(AtomKind kind, std::vector<Expr> operands) {
  return Expr::from_atom(std::make_shared<Atom>(
      Atom{kind, /*id=*/-1, /*name=*/"", /*at_least=*/0, std::move(operands)}));
}

// a == c * whole + rest, the coefficients of rest in [0, c).
struct Reduced {
  Expr whole;
  Expr rest;
};

Reduced reduce(const Expr& a, int64_t c) {
  std::vector<Term> whole;
  std::vector<Term> rest;
  for (const Term& term : a.terms()) {
    const int64_t quotient = checked_floordiv(term.coefficient, c);
    // Not coefficient - quotient * c, which may leave int64 on the way.
    const int64_t cut = term.coefficient % c;
    const int64_t remainder = cut < 0 ? cut + c : cut;
    if (quotient != 0) whole.push_back({quotient, term.factors});
    if (remainder != 0) rest.push_back({remainder, term.factors});
  }
  return {Expr::from_terms(std::move(whole)), Expr::from_terms(std::move(rest))};
}

// a // c for a constant c > 0: what c divides leaves the quotient, common divisors are cancelled,
// nested quotients become one.
Expr floordiv_by_constant(const Expr& a, int64_t c) {
  auto [exact, rest] = reduce(a, c);
  const int64_t offset = rest.constant_term();
  rest = rest - Expr(offset);
  if (rest == Expr(0)) return exact;  // 0 <= offset < c
  int64_t common = c;
  for (const Term& term : rest.terms()) common = std::gcd(common, term.coefficient);
  std::vector<Term> terms = rest.terms();
  for (Term& term : terms) term.coefficient /= common;
  const Expr variable = Expr::from_terms(std::move(terms));
  const Expr numerator = variable + Expr(offset / common);
  c /= common;
  // 0 <= numerator < divisor makes the quotient 0.
  const auto low = lower_bound(numerator);
  const auto high = upper_bound(numerator);
  if (low && high && *low >= 0 && *high < c) return exact;
  // (x // 2 + 1) // 3 is (x + 2) // 6.
  const AtomPtr inner = variable.as_atom();
  if (inner && inner->kind == AtomKind::floordiv) {
    const auto d = inner->operands[1].constant();
    if (d && *d > 0) {
      return exact +
             floordiv_by_constant(inner->operands[0] + Expr(checked_mul(offset / common, *d)),
                                  checked_mul(c, *d));
    }
  }
  // y // c is -1 - (-1 - y) // c: one of the two stands for both, so that a rounding up written as
  // (x + c - 1) // c and as -(-x // c) is one expression.
  const Reduced twin = reduce(Expr(-1) - numerator, c);
  if (Expr::compare(twin.rest, numerator) < 0) {
    return exact - Expr(1) - twin.whole - make_atom(AtomKind::floordiv, {twin.rest, Expr(c)});
  }
  return exact + make_atom(AtomKind::floordiv, {numerator, Expr(c)});
}

// a / b where b is a single product that divides every term of a.
std::optional<Expr> divide_exactly(const Expr& a, const Expr& b) {
  if (b.terms().size() != 1) return std::nullopt;
  const Term& divisor = b.terms()[0];
  std::vector<Term> quotient;
  for (const Term& term : a.terms()) {
    auto factors = divide_factors(term.factors, divisor.factors);
    if (!factors || term.coefficient % divisor.coefficient != 0) return std::nullopt;
    quotient.push_back({term.coefficient / divisor.coefficient, std::move(*factors)});
  }
  return Expr::from_terms(std::move(quotient));
}

// min or max of a and b: nested ones are flattened, operands that another bounds are left out.
Expr extremum(AtomKind kind, const Expr& a, const Expr& b) {
  std::vector<Expr> operands;
  for (const Expr& e : {a, b}) {
    const AtomPtr atom = e.as_atom();
    if (atom && atom->kind == kind) {
      operands.insert(operands.end(), atom->operands.begin(), atom->operands.end());
    } else {
      operands.push_back(e);
    }
  }
  std::sort(operands.begin(), operands.end(),
            [](const Expr& x, const Expr& y) { return Expr::compare(x, y) < 0; });
  operands.erase(std::unique(operands.begin(), operands.end()), operands.end());
  const auto is_redundant = [&](const Expr& e) {
    return std::any_of(operands.begin(), operands.end(), [&](const Expr& other) {
      if (other == e) return false;
      const auto slack = lower_bound(kind == AtomKind::min ? e - other : other - e);
      if (!slack || *slack < 0) return false;
      // Equal for all symbols, in different form: the first in order stays.
      const auto back = lower_bound(kind == AtomKind::min ? other - e : e - other);
      return !(back && *back >= 0) || Expr::compare(other, e) < 0;
    });
  };
  std::vector<Expr> kept;
  for (const Expr& e : operands) {
    if (!is_redundant(e)) kept.push_back(e);
  }
  return kept.size() == 1 ? kept[0] : make_atom(kind, std::move(kept));
}

}  // namespace

Expr::Expr(int64_t value) {
  if (value != 0) terms_.push_back({value, {}});
}

Expr Expr::symbol(int id, std::string name, int64_t at_least) {
  return from_atom(std::make_shared<Atom>(
      Atom{AtomKind::symbol, id, std::move(name), at_least, /*operands=*/{}}));
}

Expr Expr::from_atom(AtomPtr atom) { return from_terms({{1, {std::move(atom)}}}); }

int64_t Expr::constant_term() const {
  return terms_.empty() || !terms_.back().factors.empty() ? 0 : terms_.back().coefficient;
}

Expr Expr::from_terms(std::vector<Term> terms) {
  std::stable_sort(terms.begin(), terms.end(), [](const Term& a, const Term& b) {
    return compare_factors(a.factors, b.factors) < 0;
  });
  Expr e;
  for (Term& term : terms) {
    if (!e.terms_.empty() && compare_factors(e.terms_.back().factors, term.factors) == 0) {
      e.terms_.back().coefficient = checked_add(e.terms_.back().coefficient, term.coefficient);
    } else {
      if (!e.terms_.empty() && e.terms_.back().coefficient == 0) e.terms_.pop_back();
      e.terms_.push_back(std::move(term));
    }
  }
  if (!e.terms_.empty() && e.terms_.back().coefficient == 0) e.terms_.pop_back();
  return e;
}

std::optional<int64_t> Expr::constant() const {
  if (terms_.empty()) return 0;
  if (terms_.size() == 1 && terms_[0].factors.empty()) return terms_[0].coefficient;
  return std::nullopt;
}

AtomPtr Expr::as_atom() const {
  const bool one =
      terms_.size() == 1 && terms_[0].coefficient == 1 && terms_[0].factors.size() == 1;
  return one ? terms_[0].factors[0] : nullptr;
}

int Expr::compare(const Expr& a, const Expr& b) {
  const size_t common = std::min(a.terms_.size(), b.terms_.size());
  for (size_t i = 0; i < common; ++i) {
    if (const int c = compare_factors(a.terms_[i].factors, b.terms_[i].factors)) return c;
    if (const int c = compare_ints(a.terms_[i].coefficient, b.terms_[i].coefficient)) return c;
  }
  return compare_ints(a.terms_.size(), b.terms_.size());
}

int64_t Expr::evaluate(const std::vector<int64_t>& symbols) const {
  const std::function<int64_t(const Atom&)> value_of = [&](const Atom& atom) {
    if (atom.kind == AtomKind::symbol) return symbols.at(atom.id);
    int64_t value = atom.operands[0].evaluate(symbols);
    for (size_t i = 1; i < atom.operands.size(); ++i) {
      const int64_t next = atom.operands[i].evaluate(symbols);
      value = atom.kind == AtomKind::floordiv ? checked_floordiv(value, next)
              : atom.kind == AtomKind::min    ? std::min(value, next)
                                              : std::max(value, next);
    }
    return value;
  };
  int64_t sum = 0;
  for (const Term& term : terms_) {
    int64_t product = term.coefficient;
    for (const AtomPtr& factor : term.factors) product = checked_mul(product, value_of(*factor));
    sum = checked_add(sum, product);
  }
  return sum;
}

Expr operator+(const Expr& a, const Expr& b) {
  std::vector<Term> terms = a.terms_;
  terms.insert(terms.end(), b.terms_.begin(), b.terms_.end());
  return Expr::from_terms(std::move(terms));
}

Expr operator-(const Expr& a, const Expr& b) { return a + Expr(-1) * b; }

Expr operator*(const Expr& a, const Expr& b) {
  std::vector<Term> terms;
  for (const Term& x : a.terms_) {
    for (const Term& y : b.terms_) {
      Term product{checked_mul(x.coefficient, y.coefficient), {}};
      std::merge(x.factors.begin(), x.factors.end(), y.factors.begin(), y.factors.end(),
                 std::back_inserter(product.factors), atom_less);
      terms.push_back(std::move(product));
    }
  }
  return Expr::from_terms(std::move(terms));
}

Expr floordiv(const Expr& a, const Expr& b) {
  const auto divisor = b.constant();
  if (divisor == 0) throw std::domain_error("symbolic division by zero: " + a.str() + " // 0");
  if (divisor && *divisor < 0) return floordiv_by_constant(-a, checked_mul(*divisor, -1));
  if (divisor) return floordiv_by_constant(a, *divisor);
  if (auto quotient = divide_exactly(a, b)) return *quotient;
  return make_atom(AtomKind::floordiv, {a, b});
}

Expr ceildiv(const Expr& a, const Expr& b) { return floordiv(a + b - Expr(1), b); }

Expr mod(const Expr& a, const Expr& b) { return a - b * floordiv(a, b); }

Expr min(const Expr& a, const Expr& b) { return extremum(AtomKind::min, a, b); }

Expr max(const Expr& a, const Expr& b) { return extremum(AtomKind::max, a, b); }

}  // namespace samebits::sym
