// The sm90 chain with AVX-512: 16 lanes are 16 columns of b.
//
// Per step, b's 16 x 16 block is held in registers as float32 (exact) and as the exponents of its
// bf16 values. For a row of a: the reference is an int16 add and max over the 16 terms, then a max
// with the accumulator; scale = 2^(25 - reference) per lane. cvttps(x * w * scale) is rule 3 of the
// step: the product is exact in float32, so is the scaling, and the conversion cuts toward zero.
// The sum of 16 fits 32 bits. The way back is a conversion that rounds toward zero and an exact
// scaling. A lane for which one of these is not true goes to the scalar step: see `bad` below.

#include <immintrin.h>

#include "harness/kernels/cpu/gemm_kernels.h"

namespace samebits {
namespace {

constexpr int kChunkK = 32;  // two steps: one cache line of a row of b
constexpr int kPairs = 8;    // of k, in a step

// A 16 x 16 transposition of 32-bit words: r[i] word j -> out[j] word i.
inline __attribute__((always_inline)) void transpose(const __m512i* r, uint32_t* out) {
  __m512i u[16];
#pragma GCC unroll 4
  for (int q = 0; q < 16; q += 4) {
    const __m512i t0 = _mm512_unpacklo_epi32(r[q], r[q + 1]);
    const __m512i t1 = _mm512_unpackhi_epi32(r[q], r[q + 1]);
    const __m512i t2 = _mm512_unpacklo_epi32(r[q + 2], r[q + 3]);
    const __m512i t3 = _mm512_unpackhi_epi32(r[q + 2], r[q + 3]);
    u[q + 0] = _mm512_unpacklo_epi64(t0, t2);
    u[q + 1] = _mm512_unpackhi_epi64(t0, t2);
    u[q + 2] = _mm512_unpacklo_epi64(t1, t3);
    u[q + 3] = _mm512_unpackhi_epi64(t1, t3);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const __m512i a = _mm512_shuffle_i32x4(u[j], u[j + 4], 0x44);
    const __m512i b = _mm512_shuffle_i32x4(u[j + 8], u[j + 12], 0x44);
    const __m512i c = _mm512_shuffle_i32x4(u[j], u[j + 4], 0xee);
    const __m512i d = _mm512_shuffle_i32x4(u[j + 8], u[j + 12], 0xee);
    _mm512_store_si512(out + 16 * j, _mm512_shuffle_i32x4(a, b, 0x88));
    _mm512_store_si512(out + 16 * (j + 4), _mm512_shuffle_i32x4(a, b, 0xdd));
    _mm512_store_si512(out + 16 * (j + 8), _mm512_shuffle_i32x4(c, d, 0x88));
    _mm512_store_si512(out + 16 * (j + 12), _mm512_shuffle_i32x4(c, d, 0xdd));
  }
}

// pairs [16][16 lanes] of `k` k, 32 at most: k even in the low half, zeros where there is nothing.
// `b` is at the first k and lane.
inline __attribute__((always_inline)) void load_rows(const uint16_t* b, int64_t lane_stride,
                                                     int lanes, int64_t k, uint32_t* pairs) {
  const __mmask32 within = k < kChunkK ? (1u << k) - 1 : 0xffffffffu;
  __m512i rows[16];
#pragma GCC unroll 16
  for (int lane = 0; lane < 16; ++lane) {
    rows[lane] = lane < lanes ? _mm512_maskz_loadu_epi16(within, b + lane * lane_stride)
                              : _mm512_setzero_si512();
  }
  transpose(rows, pairs);
}

inline __attribute__((always_inline)) void load_columns(const uint16_t* b, int64_t k_stride,
                                                        __mmask16 active, int64_t k,
                                                        uint32_t* pairs) {
  const __m512i interleave =
      _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                       21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
#pragma GCC unroll 4
  for (int i = 0; i < kChunkK; i += 2) {
    const uint16_t* row = b + i * k_stride;
    const __m256i even = _mm256_maskz_loadu_epi16(i < k ? active : 0, row);
    const __m256i odd = _mm256_maskz_loadu_epi16(i + 1 < k ? active : 0, row + k_stride);
    const __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(even), odd, 1);
    _mm512_store_si512(pairs + 8 * i, _mm512_permutexvar_epi16(interleave, both));
  }
}

// Strides of any kind, one value at a time.
__attribute__((noinline)) void load_any(const uint16_t* b, int64_t lane_stride, int64_t k_stride,
                                        int lanes, int64_t k, uint32_t* pairs) {
  for (int i = 0; i < kChunkK / 2; ++i) {
    for (int lane = 0; lane < 16; ++lane) {
      const uint16_t* at = b + lane * lane_stride + 2 * i * k_stride;
      const uint32_t even = lane < lanes && 2 * i < k ? at[0] : 0u;
      const uint32_t odd = lane < lanes && 2 * i + 1 < k ? at[k_stride] : 0u;
      pairs[16 * i + lane] = even | odd << 16;
    }
  }
}

// Lanes in which some b is infinite or NaN.
inline __attribute__((always_inline)) __mmask16 not_finite(const __m512i* exponents) {
  __m512i largest = exponents[0];
  for (int i = 1; i < kPairs; ++i) largest = _mm512_max_epu16(largest, exponents[i]);
  const __mmask32 halves =
      _mm512_cmpge_epu16_mask(largest, _mm512_set1_epi16(static_cast<short>(0xff80)));
  return _mm512_test_epi32_mask(_mm512_movm_epi16(halves), _mm512_set1_epi32(-1));
}

inline __attribute__((always_inline)) void hand_over(const Sm90Operand& a, const uint32_t* pairs,
                                                     __mmask16 lanes, __m512 old, float* c) {
  if (__builtin_expect(lanes == 0, 1)) return;
  alignas(64) float before[16];
  _mm512_store_ps(before, old);
  sm90_step_lanes(a, pairs, lanes, before, c);
}

// One step for all rows; pairs [8][16].
inline __attribute__((always_inline)) void step(const Sm90Operand* a, int64_t rows,
                                                const uint32_t* pairs, __mmask16 active, float* c,
                                                int64_t ldc) {
  __m512 w[16];
  __m512i exponents[kPairs];  // |b| - 2^15 as int16: its exponent field, less 256, above 7 low bits
#pragma GCC unroll 8
  for (int i = 0; i < kPairs; ++i) {
    const __m512i pair = _mm512_load_si512(pairs + 16 * i);
    w[2 * i] = _mm512_castsi512_ps(_mm512_slli_epi32(pair, 16));
    w[2 * i + 1] = _mm512_castsi512_ps(
        _mm512_and_si512(pair, _mm512_set1_epi32(static_cast<int>(0xffff0000))));
    exponents[i] = _mm512_or_si512(pair, _mm512_set1_epi32(static_cast<int>(0x80008000)));
  }
  for (int64_t row = 0; row < rows; ++row, ++a, c += ldc) {
    const __m512 old = _mm512_maskz_loadu_ps(active, c);
    if (__builtin_expect((a->flags & kAllZero) != 0, 0)) {
      // Zeros become +0; what is not zero stays as it is, unless it is NaN or some b is not finite.
      const __mmask16 zero = _mm512_cmp_ps_mask(old, _mm512_setzero_ps(), _CMP_EQ_OQ) & active;
      _mm512_mask_storeu_ps(c, zero, _mm512_setzero_ps());
      const __mmask16 bad = not_finite(exponents) | _mm512_cmp_ps_mask(old, old, _CMP_UNORD_Q);
      hand_over(*a, pairs, bad & active, old, c);
      continue;
    }
    __m512i r0 = _mm512_adds_epi16(exponents[0], _mm512_set1_epi32(a->exponents[0]));
    __m512i r1 = _mm512_adds_epi16(exponents[1], _mm512_set1_epi32(a->exponents[1]));
#pragma GCC unroll 3
    for (int i = 2; i < kPairs; i += 2) {
      r0 =
          _mm512_max_epi16(r0, _mm512_adds_epi16(exponents[i], _mm512_set1_epi32(a->exponents[i])));
      r1 = _mm512_max_epi16(
          r1, _mm512_adds_epi16(exponents[i + 1], _mm512_set1_epi32(a->exponents[i + 1])));
    }
    r0 = _mm512_max_epi16(r0, r1);
    r0 = _mm512_max_epi16(r0, _mm512_rol_epi32(r0, 16));
    // (reference - 129) << 23, the accumulator included.
    const __m512i reference = _mm512_and_si512(
        _mm512_max_epi32(r0, _mm512_or_si512(_mm512_castps_si512(old),
                                             _mm512_set1_epi32(static_cast<int>(0x80000000)))),
        _mm512_set1_epi32(static_cast<int>(0xff800000)));
    const __m512 scale =
        _mm512_castsi512_ps(_mm512_sub_epi32(_mm512_set1_epi32(23 << 23), reference));
    const __m512 unit =
        _mm512_castsi512_ps(_mm512_add_epi32(_mm512_set1_epi32(231 << 23), reference));
    __m512i sum0 = _mm512_cvttps_epi32(_mm512_mul_ps(old, scale));
    __m512i sum1 = _mm512_setzero_si512();
#pragma GCC unroll 8
    for (int k = 0; k < 16; k += 2) {
      const __m512 even = _mm512_mul_ps(w[k], _mm512_set1_ps(a->x[k]));
      const __m512 odd = _mm512_mul_ps(w[k + 1], _mm512_set1_ps(a->x[k + 1]));
      sum0 = _mm512_add_epi32(sum0, _mm512_cvttps_epi32(_mm512_mul_ps(even, scale)));
      sum1 = _mm512_add_epi32(sum1, _mm512_cvttps_epi32(_mm512_mul_ps(odd, scale)));
    }
    const __m512i sum = _mm512_add_epi32(sum0, sum1);
    const __m512 result =
        _mm512_mul_ps(_mm512_cvt_roundepi32_ps(sum, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC), unit);

    // The reference of the products must lie in the row's window. A sum of 2^30 and more may have
    // wrapped; an infinite or NaN accumulator is -2^31 here, and lands there as well.
    __mmask16 good = _mm512_mask_cmpge_epi32_mask(active, r0, _mm512_set1_epi32(a->lowest));
    good = _mm512_mask_cmplt_epi32_mask(good, r0, _mm512_set1_epi32(a->beyond));
    good = _mm512_mask_cmpge_epi32_mask(good, _mm512_add_epi32(sum, _mm512_set1_epi32(1 << 30)),
                                        _mm512_setzero_si512());
    if (__builtin_expect(a->flags != 0, 0)) {
      good = (a->flags & kNotFinite) != 0 ? 0 : good & ~not_finite(exponents);
    }
    _mm512_mask_storeu_ps(c, active, result);
    hand_over(*a, pairs, active ^ good, old, c);
  }
}

void sm90_chain_avx512(const Sm90Operand* a, int64_t step_stride, int64_t rows, const uint16_t* b,
                       int64_t lane_stride, int64_t k_stride, int lanes, int64_t k, float* c,
                       int64_t ldc) {
  alignas(64) uint32_t pairs[kChunkK / 2 * 16];
  const auto active = static_cast<__mmask16>((1u << lanes) - 1);
  for (int64_t first = 0; first < k; first += kChunkK) {
    const int64_t left = k - first;
    const uint16_t* from = b + first * k_stride;
    if (k_stride == 1) {
      load_rows(from, lane_stride, lanes, left, pairs);
    } else if (lane_stride == 1) {
      load_columns(from, k_stride, active, left, pairs);
    } else {
      load_any(from, lane_stride, k_stride, lanes, left, pairs);
    }
    step(a + first / 16 * step_stride, rows, pairs, active, c, ldc);
    if (left > 16) {
      step(a + (first / 16 + 1) * step_stride, rows, pairs + kPairs * 16, active, c, ldc);
    }
  }
}

}  // namespace

extern const Sm90Chain kSm90ChainAvx512 = sm90_chain_avx512;

}  // namespace samebits
