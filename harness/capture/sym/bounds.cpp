#include "harness/capture/sym/bounds.h"

#include <algorithm>

#include "harness/capture/sym/arithmetic.h"

namespace samebits::sym {
namespace {

// Case analysis over minima and quotients doubles at each level; sizes in practice need two.
constexpr int kMaxDepth = 6;

using Bound = std::optional<int64_t>;  // nullopt: none

Bound lower(const Expr& e, int depth);
Bound upper(const Expr& e, int depth) {
  const Bound b = lower(-e, depth);
  return b ? Bound(-*b) : Bound();
}

Bound weaker(Bound a, Bound b) { return a && b ? Bound(std::min(*a, *b)) : Bound(); }
Bound stronger(Bound a, Bound b) { return !a ? b : !b ? a : Bound(std::max(*a, *b)); }

struct Interval {
  Bound low;
  Bound high;
};

Interval atom_interval(const Atom& atom, int depth) {
  if (atom.kind == AtomKind::symbol) return {atom.at_least, std::nullopt};
  if (depth == 0) return {};
  const auto& operands = atom.operands;
  Interval a{lower(operands[0], depth - 1), upper(operands[0], depth - 1)};
  if (atom.kind == AtomKind::floordiv) {
    const Interval b{lower(operands[1], depth - 1), upper(operands[1], depth - 1)};
    if (!b.low || *b.low < 1) return {};
    if (operands[1].constant()) {
      return {a.low ? Bound(checked_floordiv(*a.low, *b.low)) : Bound(),
              a.high ? Bound(checked_floordiv(*a.high, *b.low)) : Bound()};
    }
    if (!a.low || *a.low < 0) return {};
    return {b.high ? *a.low / *b.high : 0, a.high ? Bound(*a.high / *b.low) : Bound()};
  }
  for (size_t i = 1; i < operands.size(); ++i) {
    const Interval b{lower(operands[i], depth - 1), upper(operands[i], depth - 1)};
    const bool is_min = atom.kind == AtomKind::min;
    // An upper bound of the minimum is any operand's; a lower one must hold for all.
    if (is_min) {
      a.low = weaker(a.low, b.low);
      a.high = !a.high ? b.high : !b.high ? a.high : Bound(std::min(*a.high, *b.high));
    } else {
      a.low = stronger(a.low, b.low);
      a.high = a.high && b.high ? Bound(std::max(*a.high, *b.high)) : Bound();
    }
  }
  return a;
}

// Each term by itself, as if they were independent.
Bound lower_by_intervals(const Expr& e, int depth) {
  int64_t sum = 0;
  for (const Term& term : e.terms()) {
    Interval product{1, 1};
    if (term.factors.size() == 1) {
      product = atom_interval(*term.factors[0], depth);
    } else {
      for (const AtomPtr& factor : term.factors) {
        const Interval next = atom_interval(*factor, depth);
        if (!next.low || *next.low < 0) return std::nullopt;
        product.low = checked_mul(*product.low, *next.low);
        product.high =
            product.high && next.high ? Bound(checked_mul(*product.high, *next.high)) : Bound();
      }
    }
    const Bound side = term.coefficient > 0 ? product.low : product.high;
    if (!side) return std::nullopt;
    sum = checked_add(sum, checked_mul(term.coefficient, *side));
  }
  return sum;
}

// `e` with its term `index`, a multiple of one atom, replaced.
Expr replace_term(const Expr& e, size_t index, const Expr& replacement) {
  std::vector<Term> rest = e.terms();
  rest.erase(rest.begin() + index);
  return Expr::from_terms(std::move(rest)) + replacement;
}

// Relates an atom to its operands, which intervals forget:
//   q = a // c:      c*q <= a  and  c*q >= a - (c - 1)
//   m = min(a, b):   m is a or b, and not above either (max alike)
Bound lower_by_relaxing(const Expr& e, size_t index, int depth) {
  const Term& term = e.terms()[index];
  const Atom& atom = *term.factors[0];
  const Expr k(term.coefficient);
  if (atom.kind == AtomKind::floordiv) {
    const auto c = atom.operands[1].constant();
    if (!c || *c < 1) return std::nullopt;
    // c * e, with c * q replaced by its bound.
    Expr scaled_q = atom.operands[0];
    if (term.coefficient > 0) scaled_q = scaled_q - Expr(*c - 1);
    const Expr scaled = replace_term(Expr(*c) * e, index, k * scaled_q);
    const Bound b = lower(scaled, depth - 1);
    return b ? Bound(-checked_floordiv(-*b, *c)) : Bound();
  }
  const bool any_operand = (atom.kind == AtomKind::min) == (term.coefficient < 0);
  Bound result = lower(replace_term(e, index, k * atom.operands[0]), depth - 1);
  for (size_t i = 1; i < atom.operands.size(); ++i) {
    const Bound b = lower(replace_term(e, index, k * atom.operands[i]), depth - 1);
    result = any_operand ? stronger(result, b) : weaker(result, b);
  }
  return result;
}

Bound lower(const Expr& e, int depth) {
  if (const auto c = e.constant()) return c;
  Bound best = lower_by_intervals(e, depth);
  if (depth == 0) return best;
  for (size_t i = 0; i < e.terms().size(); ++i) {
    const Term& term = e.terms()[i];
    if (term.factors.size() != 1 || term.factors[0]->kind == AtomKind::symbol) continue;
    best = stronger(best, lower_by_relaxing(e, i, depth));
  }
  return best;
}

}  // namespace

Bound lower_bound(const Expr& e) {
  try {
    return lower(e, kMaxDepth);
  } catch (const std::overflow_error&) {
    return std::nullopt;  // a bound outside int64 bounds nothing
  }
}

Bound upper_bound(const Expr& e) {
  const Bound b = lower_bound(-e);
  return b ? Bound(-*b) : Bound();
}

}  // namespace samebits::sym
