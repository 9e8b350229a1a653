#include <fmt/format.h>

#include <string>

#include "harness/capture/sym/condition.h"
#include "harness/capture/sym/expr.h"

namespace samebits::sym {
namespace {

bool is_simple(const Expr& e) {
  if (const auto c = e.constant()) return *c >= 0;
  const AtomPtr atom = e.as_atom();
  return atom && atom->kind != AtomKind::floordiv;
}

std::string in_parentheses(const Expr& e) {
  return is_simple(e) ? e.str() : fmt::format("({})", e.str());
}

std::string format_atom(const Atom& atom) {
  if (atom.kind == AtomKind::symbol) return atom.name;
  if (atom.kind == AtomKind::floordiv) {
    return fmt::format("{}//{}", in_parentheses(atom.operands[0]),
                       in_parentheses(atom.operands[1]));
  }
  std::string operands;
  for (const Expr& operand : atom.operands) {
    operands += operands.empty() ? "" : ", ";
    operands += operand.str();
  }
  return fmt::format("{}({})", atom.kind == AtomKind::min ? "min" : "max", operands);
}

std::string format_factor(const Atom& atom, bool alone) {
  const std::string text = format_atom(atom);
  return alone || atom.kind != AtomKind::floordiv ? text : fmt::format("({})", text);
}

std::string format_product(uint64_t magnitude, const std::vector<AtomPtr>& factors) {
  std::string text;
  if (magnitude != 1 || factors.empty()) text = std::to_string(magnitude);
  const bool alone = factors.size() == 1 && magnitude == 1;
  for (const AtomPtr& factor : factors) {
    text += text.empty() ? "" : "*";
    text += format_factor(*factor, alone);
  }
  return text;
}

// "a % b" where the expression is exactly that, else empty.
std::string format_as_mod(const Expr& e) {
  for (const Term& term : e.terms()) {
    for (const AtomPtr& factor : term.factors) {
      if (factor->kind != AtomKind::floordiv || e.as_atom() == factor) continue;
      const Expr& a = factor->operands[0];
      const Expr& b = factor->operands[1];
      if (mod(a, b) == e) return fmt::format("{} % {}", in_parentheses(a), in_parentheses(b));
    }
  }
  return "";
}

std::string format_comparison(const Expr& e, const char* op, const char* flipped_op) {
  const Expr offset = e.terms().empty() || !e.terms().back().factors.empty()
                          ? Expr(0)
                          : Expr(e.terms().back().coefficient);
  if (const std::string text = format_as_mod(e - offset); !text.empty()) {
    return fmt::format("{} {} {}", text, op, (-offset).str());
  }
  if (const std::string text = format_as_mod(offset - e); !text.empty()) {
    return fmt::format("{} {} {}", text, flipped_op, offset.str());
  }
  // Terms go to the side on which they are positive.
  std::vector<Term> left;
  std::vector<Term> right;
  for (Term term : e.terms()) {
    if (term.coefficient > 0) {
      left.push_back(term);
    } else {
      term.coefficient = -term.coefficient;
      right.push_back(term);
    }
  }
  const Expr lhs = Expr::from_terms(std::move(left));
  const Expr rhs = Expr::from_terms(std::move(right));
  if (lhs.constant()) return fmt::format("{} {} {}", rhs.str(), flipped_op, lhs.str());
  return fmt::format("{} {} {}", lhs.str(), op, rhs.str());
}

}  // namespace

std::string Expr::str() const {
  if (const auto c = constant()) return std::to_string(*c);
  if (const std::string text = format_as_mod(*this); !text.empty()) return text;
  std::string text;
  for (const Term& term : terms_) {
    const bool negative = term.coefficient < 0;
    text += text.empty() ? (negative ? "-" : "") : (negative ? " - " : " + ");
    const auto coefficient = static_cast<uint64_t>(term.coefficient);
    text += format_product(negative ? -coefficient : coefficient, term.factors);
  }
  return text;
}

std::string Condition::str() const {
  switch (kind_) {
    case Kind::constant:
      return value_ ? "true" : "false";
    case Kind::eq:
      return format_comparison(expr_, "==", "==");
    case Kind::ne:
      return format_comparison(expr_, "!=", "!=");
    case Kind::ge:
      return format_comparison(expr_, ">=", "<=");
    case Kind::all:
    case Kind::any:
      break;
  }
  std::string text;
  for (const Condition& part : parts_) {
    const bool nested = part.kind() == Kind::all || part.kind() == Kind::any;
    text += text.empty() ? "" : (kind_ == Kind::all ? " and " : " or ");
    text += nested ? fmt::format("({})", part.str()) : part.str();
  }
  return text;
}

}  // namespace samebits::sym
