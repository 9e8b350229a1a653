#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace samebits::sym {

struct Atom;
using AtomPtr = std::shared_ptr<const Atom>;

// coefficient * product of factors; no factors: a constant.
struct Term {
  int64_t coefficient;
  std::vector<AtomPtr> factors;  // sorted, repeats allowed
};

// An integer expression over symbols: a polynomial with integer coefficients whose indeterminates
// are atoms (a symbol, a floor division, a minimum, a maximum). The form is canonical: equal sums
// of products are equal objects, whatever order built them; `mod` and `ceildiv` are written with
// floor divisions. A value type, immutable. All arithmetic that leaves int64 throws
// std::overflow_error.
class Expr {
 public:
  Expr(int64_t value = 0);  // NOLINT(google-explicit-constructor): integers are expressions
  // The id orders symbols and indexes the values given to evaluate(); `at_least` is what may be
  // assumed of the symbol's value.
  static Expr symbol(int id, std::string name, int64_t at_least = 0);

  std::optional<int64_t> constant() const;
  const std::vector<Term>& terms() const { return terms_; }
  int64_t constant_term() const;  // 0 where there is none
  // The atom that the whole expression is, or null.
  AtomPtr as_atom() const;

  // `symbols[id]` is the value of symbol id. Throws std::domain_error at a division by zero.
  int64_t evaluate(const std::vector<int64_t>& symbols) const;
  // "2*s0 + 1", "(s0 + 1)//2", "s0 % 2", "min(s0, 4)".
  std::string str() const;

  friend Expr operator+(const Expr& a, const Expr& b);
  friend Expr operator-(const Expr& a, const Expr& b);
  friend Expr operator*(const Expr& a, const Expr& b);
  friend Expr operator-(const Expr& a) { return Expr(-1) * a; }
  friend bool operator==(const Expr& a, const Expr& b) { return compare(a, b) == 0; }
  // A total order without meaning; negative, 0 or positive.
  static int compare(const Expr& a, const Expr& b);

  // For the canonicaliser: adopts terms in any order and combines them.
  static Expr from_terms(std::vector<Term> terms);
  static Expr from_atom(AtomPtr atom);

 private:
  std::vector<Term> terms_;  // by descending degree, then by factors; no zero coefficients
};

enum class AtomKind { symbol, floordiv, min, max };

struct Atom {
  AtomKind kind;
  int id;                      // symbol
  std::string name;            // symbol
  int64_t at_least;            // symbol
  std::vector<Expr> operands;  // floordiv: numerator, divisor; min and max: two or more, sorted
};

// Quotients round towards minus infinity; they exist only where the divisor is not 0, which the
// simplifications assume ((4*s0) // s0 is 4).
Expr floordiv(const Expr& a, const Expr& b);
Expr ceildiv(const Expr& a, const Expr& b);
// a - b * (a // b): has the sign of b.
Expr mod(const Expr& a, const Expr& b);
Expr min(const Expr& a, const Expr& b);
Expr max(const Expr& a, const Expr& b);

}  // namespace samebits::sym
