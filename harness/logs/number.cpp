#include "harness/logs/number.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace samebits {
namespace {

constexpr double kWholeLimit = 9007199254740992.0;  // 2^53: below it every integer is a double

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Counts the digits of the mantissa; false where it is none.
bool read_mantissa(std::string_view text, size_t& at, LogNumber& number) {
  bool has_digit = false;
  bool has_point = false;
  for (; at < text.size() && (is_digit(text[at]) || (text[at] == '.' && !has_point)); ++at) {
    if (text[at] == '.') {
      has_point = true;
      continue;
    }
    has_digit = true;
    number.decimals += has_point ? 1 : 0;
    if (number.digits > 0 || text[at] != '0') ++number.digits;
  }
  number.is_whole = !has_point;
  return has_digit;
}

bool read_exponent(std::string_view text, size_t& at, LogNumber& number) {
  if (at == text.size()) return true;
  if (text[at] != 'e' && text[at] != 'E') return false;
  ++at;
  if (at < text.size() && text[at] == '+') ++at;
  int exponent = 0;
  const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), exponent);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  if (exponent > 400 || exponent < -400) return false;
  number.has_exponent = true;
  number.is_whole = false;
  number.decimals -= exponent;
  return true;
}

}  // namespace

std::optional<LogNumber> number_from_text(std::string_view text) {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) return std::nullopt;
  }
  if (text.empty()) return std::nullopt;
  LogNumber number;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number.value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (!std::isfinite(number.value)) {
    if (text.ends_with(')')) return std::nullopt;  // nan(...)
    return number;
  }
  size_t at = text.starts_with('-') ? 1 : 0;
  if (!read_mantissa(text, at, number) || !read_exponent(text, at, number)) return std::nullopt;
  if (number.is_whole && std::abs(number.value) >= kWholeLimit) return std::nullopt;
  return number;
}

bool is_written_as_number(std::string_view text) {
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  LogNumber unused;
  size_t at = 0;
  if (!read_mantissa(text, at, unused)) return false;
  if (at == text.size()) return true;
  if (text[at] != 'e' && text[at] != 'E') return false;
  text.remove_prefix(at + 1);
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  return !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
}

}  // namespace samebits
