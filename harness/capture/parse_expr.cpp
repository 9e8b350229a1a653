#include "harness/capture/parse_expr.h"

#include <fmt/format.h>

#include <charconv>
#include <stdexcept>

namespace samebits::sym {
namespace {

constexpr int kMaxDepth = 64;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

// sum := ["-"] product {("+" | "-") product}
// product := operand ("//" | "%") operand | operand {"*" operand}
// operand := integer | symbol | ("min" | "max") "(" sum {"," sum} ")" | "(" sum ")"
// Factors of a product are single terms, as in canonical text: what is read is as long as its text.
class Parser {
 public:
  Parser(std::string_view text, const std::vector<Expr>& symbols)
      : text_(text), symbols_(symbols) {}

  Expr parse() {
    Expr e = sum();
    if (at_ != text_.size()) fail("an operator or the end");
    return e;
  }

 private:
  [[noreturn]] void fail(const std::string& expected) const {
    throw std::invalid_argument(fmt::format("{} at character {}", expected, at_));
  }
  void skip_spaces() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool take(std::string_view token) {
    skip_spaces();
    if (text_.substr(at_, token.size()) != token) return false;
    at_ += token.size();
    skip_spaces();
    return true;
  }

  Expr sum() {
    if (++depth_ > kMaxDepth) fail("at most 64 parentheses inside one another");
    const bool negative = take("-");
    Expr total = negative ? -product() : product();
    while (true) {
      if (take("+")) {
        total = total + product();
      } else if (take("-")) {
        total = total - product();
      } else {
        break;
      }
    }
    --depth_;
    return total;
  }

  Expr product() {
    Expr e = operand();
    if (take("//")) return floordiv(e, operand());
    if (take("%")) return mod(e, operand());
    while (take("*")) {
      const Expr factor = operand();
      if (e.terms().size() > 1 || factor.terms().size() > 1) fail("factors that are no sums");
      e = e * factor;
    }
    return e;
  }

  Expr operand() {
    if (take("(")) {
      Expr e = sum();
      if (!take(")")) fail("\")\"");
      return e;
    }
    if (at_ < text_.size() && is_digit(text_[at_])) return integer();
    return named();
  }

  Expr integer() {
    int64_t value = 0;
    const char* end = text_.data() + text_.size();
    const auto [rest, error] = std::from_chars(text_.data() + at_, end, value);
    if (error != std::errc()) fail("an integer of 64 bits");
    at_ = static_cast<size_t>(rest - text_.data());
    skip_spaces();
    return value;
  }

  Expr named() {
    size_t end = at_;
    while (end < text_.size() && (is_letter(text_[end]) || (end > at_ && is_digit(text_[end])))) {
      ++end;
    }
    const std::string_view name = text_.substr(at_, end - at_);
    if (name == "min" || name == "max") return extremum(name == "min", end);
    for (const Expr& symbol : symbols_) {
      if (symbol.as_atom()->name != name) continue;
      at_ = end;
      skip_spaces();
      return symbol;
    }
    fail("a number, a symbol or \"(\"");
  }

  Expr extremum(bool is_min, size_t end) {
    at_ = end;
    if (!take("(")) fail("\"(\"");
    Expr e = sum();
    while (take(",")) e = is_min ? min(e, sum()) : max(e, sum());
    if (!take(")")) fail("\")\"");
    return e;
  }

  std::string_view text_;
  const std::vector<Expr>& symbols_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

Expr parse_expr(std::string_view text, const std::vector<Expr>& symbols) {
  return Parser(text, symbols).parse();
}

bool is_symbol_name(std::string_view name) {
  if (name.empty() || !is_letter(name[0]) || name == "min" || name == "max") return false;
  for (const char c : name) {
    if (!is_letter(c) && !is_digit(c)) return false;
  }
  return true;
}

}  // namespace samebits::sym
