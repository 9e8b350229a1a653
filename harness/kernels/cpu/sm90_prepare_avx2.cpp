// Operands of the sm90 chain with AVX2, for the kernels of AVX-512 too: all 16 values at once.

#include <immintrin.h>

#include "harness/kernels/cpu/sm90_operand.h"

namespace samebits {
namespace {

inline __attribute__((always_inline)) int32_t least(__m256i values) {
  const __m128i halves =
      _mm_min_epu16(_mm256_castsi256_si128(values), _mm256_extracti128_si256(values, 1));
  return _mm_extract_epi16(_mm_minpos_epu16(halves), 0);
}

inline __attribute__((always_inline)) void prepare(const uint16_t* values, Sm90Operand* out) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(values));
  const __m256i low = _mm256_cvtepu16_epi32(_mm256_castsi256_si128(bits));
  const __m256i high = _mm256_cvtepu16_epi32(_mm256_extracti128_si256(bits, 1));
  auto* x = reinterpret_cast<__m256i*>(out->x);
  _mm256_storeu_si256(x, _mm256_slli_epi32(low, 16));
  _mm256_storeu_si256(x + 1, _mm256_slli_epi32(high, 16));

  const __m256i magnitude = _mm256_and_si256(bits, _mm256_set1_epi16(0x7fff));
  const __m256i zero = _mm256_cmpeq_epi16(magnitude, _mm256_setzero_si256());
  const __m256i exponent = _mm256_max_epu16(_mm256_srli_epi16(magnitude, 7), _mm256_set1_epi16(1));
  const __m256i unbiased = _mm256_sub_epi16(exponent, _mm256_set1_epi16(127));
  _mm256_storeu_si256(
      reinterpret_cast<__m256i*>(out->exponents),
      _mm256_blendv_epi8(_mm256_slli_epi16(unbiased, 7), _mm256_set1_epi16(-32768), zero));

  const __m256i without_zeros = _mm256_andnot_si256(zero, exponent);
  const __m256i fallen = _mm256_sub_epi16(_mm256_set1_epi16(255), without_zeros);
  const __m256i zeros_last = _mm256_blendv_epi8(exponent, _mm256_set1_epi16(255), zero);
  set_window(out, least(zeros_last), 255 - least(fallen), _mm256_movemask_epi8(zero) != 0);
}

void sm90_prepare_avx2(const uint16_t* a, int64_t row_stride, int64_t k_stride, int64_t rows,
                       int64_t k, Sm90Operand* out) {
  for (int64_t first = 0; first < k; first += 16) {
    for (int64_t row = 0; row < rows; ++row, ++out) {
      const uint16_t* from = a + row * row_stride + first * k_stride;
      if (k_stride == 1 && k - first >= 16) {
        prepare(from, out);
      } else {
        uint16_t values[16] = {};
        for (int64_t i = 0; i < 16 && first + i < k; ++i) values[i] = from[i * k_stride];
        prepare(values, out);
      }
    }
  }
}

}  // namespace

extern const Sm90Prepare kSm90PrepareAvx2 = sm90_prepare_avx2;

}  // namespace samebits
