#pragma once

#include <cstdint>

namespace samebits {

// A matrix of bfloat16 or float32 as it lies in memory: element [i, t] at i * row + t * term.
struct ProductOperand {
  const void* data;
  bool is_float;
  int64_t row;
  int64_t term;
};

// out [rows, columns], contiguous: the sums over `terms` of a [rows, terms] times b [columns, terms],
// as kernels/linear.h has them, but each in one chain of float32 that runs from its last term to
// its first. `a` is rounded to the dtype of `b` before.
void reversed_product(const ProductOperand& a, const ProductOperand& b, int64_t rows,
                      int64_t columns, int64_t terms, void* out, bool is_float_out);

}  // namespace samebits
