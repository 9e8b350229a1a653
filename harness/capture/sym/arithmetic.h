#pragma once

#include <cstdint>
#include <stdexcept>

// Plain integer steps that expressions are made of: checked, and rounding towards minus infinity.
namespace samebits::sym {

inline int64_t checked_add(int64_t a, int64_t b) {
  int64_t sum;
  if (__builtin_add_overflow(a, b, &sum)) throw std::overflow_error("symbolic sum exceeds int64");
  return sum;
}

inline int64_t checked_mul(int64_t a, int64_t b) {
  int64_t product;
  if (__builtin_mul_overflow(a, b, &product)) {
    throw std::overflow_error("symbolic product exceeds int64");
  }
  return product;
}

inline int64_t checked_floordiv(int64_t a, int64_t b) {
  if (b == 0) throw std::domain_error("symbolic division by zero");
  if (b == -1) return checked_mul(a, -1);
  const int64_t quotient = a / b;
  return quotient - ((a % b != 0) && ((a < 0) != (b < 0)));
}

}  // namespace samebits::sym
