#pragma once

#include <optional>
#include <string_view>

namespace samebits {

// A number as a log has it.
struct LogNumber {
  double value = 0;
  int digits = 0;    // significant ones, trailing zeros included; 0 of NaN and infinities
  int decimals = 0;  // digits after the point, were it written without an exponent; may be negative
  bool has_exponent = false;
  bool is_whole = false;  // written without a point or an exponent
};

// The whole text as a number: decimal, with or without a sign, a point, an exponent; "nan", "inf"
// and "infinity" in any case. nullopt for anything else, and for what a double cannot hold: too
// large, too small, or an integer that it would round.
std::optional<LogNumber> number_from_text(std::string_view text);

// Whether the whole text is written as a decimal number, be it one that no double holds.
bool is_written_as_number(std::string_view text);

}  // namespace samebits
