#include "harness/plant/reversed_product.h"

#include <c10/util/BFloat16.h>

#include <cmath>

namespace samebits {
namespace {

float element(const ProductOperand& of, int64_t row, int64_t term) {
  const int64_t at = row * of.row + term * of.term;
  return of.is_float ? static_cast<const float*>(of.data)[at]
                     : static_cast<float>(static_cast<const c10::BFloat16*>(of.data)[at]);
}

}  // namespace

void reversed_product(const ProductOperand& a, const ProductOperand& b, int64_t rows,
                      int64_t columns, int64_t terms, void* out, bool is_float_out) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < columns; ++column) {
      float sum = 0;
      for (int64_t term = terms - 1; term >= 0; --term) {
        float x = element(a, row, term);
        if (!b.is_float) x = static_cast<float>(static_cast<c10::BFloat16>(x));
        sum = std::fma(x, element(b, column, term), sum);
      }
      const int64_t at = row * columns + column;
      if (is_float_out) {
        static_cast<float*>(out)[at] = sum;
      } else {
        static_cast<c10::BFloat16*>(out)[at] = static_cast<c10::BFloat16>(sum);
      }
    }
  }
}

}  // namespace samebits
