// The sm90 chain with AVX2, in the form of sm90_avx512.cpp: 16 lanes in two halves of 8.
//
// There is no conversion with a rounding mode of its own, so the thread rounds toward zero while
// the kernel runs. Products and scalings are exact (or vanish in the conversion), so nothing else
// changes; but an overflow would not become infinite, hence the limit on the accumulator's
// exponent.

#include <immintrin.h>

#include "harness/kernels/cpu/gemm_kernels.h"

namespace samebits {
namespace {

constexpr int kPairs = 8;  // of k, in a step

// One step of b, made ready for all rows.
struct Block {
  alignas(32) uint32_t pairs[kPairs][16];      // k even in the low half
  alignas(32) uint32_t exponents[kPairs][16];  // |b| - 2^15, as int16
  alignas(32) float w[2 * kPairs][16];
};

inline __attribute__((always_inline)) __m256i load(const void* at) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(at));
}

inline __attribute__((always_inline)) void store(void* at, __m256i value) {
  _mm256_storeu_si256(static_cast<__m256i*>(at), value);
}

// Lanes first .. first + 8, zeros from `lanes` on: an 8 x 8 transposition of 32-bit words.
inline __attribute__((always_inline)) void load_rows(const uint16_t* b, int64_t lane_stride,
                                                     int first, int lanes, Block* block) {
  const auto row = [=](int lane) {
    return lane < lanes ? load(b + lane * lane_stride) : _mm256_setzero_si256();
  };
  __m256i u[8];
#pragma GCC unroll 2
  for (int q = 0; q < 8; q += 4) {
    const __m256i r0 = row(first + q);
    const __m256i r1 = row(first + q + 1);
    const __m256i r2 = row(first + q + 2);
    const __m256i r3 = row(first + q + 3);
    const __m256i t0 = _mm256_unpacklo_epi32(r0, r1);
    const __m256i t1 = _mm256_unpackhi_epi32(r0, r1);
    const __m256i t2 = _mm256_unpacklo_epi32(r2, r3);
    const __m256i t3 = _mm256_unpackhi_epi32(r2, r3);
    u[q + 0] = _mm256_unpacklo_epi64(t0, t2);
    u[q + 1] = _mm256_unpackhi_epi64(t0, t2);
    u[q + 2] = _mm256_unpacklo_epi64(t1, t3);
    u[q + 3] = _mm256_unpackhi_epi64(t1, t3);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    store(&block->pairs[j][first], _mm256_permute2x128_si256(u[j], u[j + 4], 0x20));
    store(&block->pairs[j + 4][first], _mm256_permute2x128_si256(u[j], u[j + 4], 0x31));
  }
}

// Zeros from `k` on.
inline __attribute__((always_inline)) void load_columns(const uint16_t* b, int64_t k_stride,
                                                        int64_t k, Block* block) {
  const auto row = [=](int i) { return i < k ? load(b + i * k_stride) : _mm256_setzero_si256(); };
  for (int pair = 0; pair < kPairs; ++pair) {
    const __m256i even = row(2 * pair);
    const __m256i odd = row(2 * pair + 1);
    const __m256i low = _mm256_unpacklo_epi16(even, odd);
    const __m256i high = _mm256_unpackhi_epi16(even, odd);
    store(&block->pairs[pair][0], _mm256_permute2x128_si256(low, high, 0x20));
    store(&block->pairs[pair][8], _mm256_permute2x128_si256(low, high, 0x31));
  }
}

// Strides of any kind, one value at a time; zeros where there is nothing.
__attribute__((noinline)) void load_any(const uint16_t* b, int64_t lane_stride, int64_t k_stride,
                                        int lanes, int64_t k, Block* block) {
  for (int i = 0; i < kPairs; ++i) {
    for (int lane = 0; lane < 16; ++lane) {
      const uint16_t* at = b + lane * lane_stride + 2 * i * k_stride;
      const uint32_t even = lane < lanes && 2 * i < k ? at[0] : 0u;
      const uint32_t odd = lane < lanes && 2 * i + 1 < k ? at[k_stride] : 0u;
      block->pairs[i][lane] = even | odd << 16;
    }
  }
}

inline __attribute__((always_inline)) void unpack(Block* block) {
  const __m256i high = _mm256_set1_epi32(static_cast<int>(0xffff0000));
  const __m256i signs = _mm256_set1_epi32(static_cast<int>(0x80008000));
  for (int i = 0; i < kPairs; ++i) {
    for (int first = 0; first < 16; first += 8) {
      const __m256i pair = load(&block->pairs[i][first]);
      store(&block->w[2 * i][first], _mm256_slli_epi32(pair, 16));
      store(&block->w[2 * i + 1][first], _mm256_and_si256(pair, high));
      store(&block->exponents[i][first], _mm256_or_si256(pair, signs));
    }
  }
}

// Lanes in which some b is infinite or NaN.
uint32_t not_finite(const Block& block) {
  uint32_t mask = 0;
  for (int first = 0; first < 16; first += 8) {
    __m256i largest = load(&block.exponents[0][first]);
    for (int i = 1; i < kPairs; ++i) {
      largest = _mm256_max_epu16(largest, load(&block.exponents[i][first]));
    }
    const __m256i infinite = _mm256_set1_epi16(static_cast<short>(0xff80));
    const __m256i halves = _mm256_cmpeq_epi16(_mm256_max_epu16(largest, infinite), largest);
    const __m256i none = _mm256_cmpeq_epi32(halves, _mm256_setzero_si256());
    mask |= (~_mm256_movemask_ps(_mm256_castsi256_ps(none)) & 0xffu) << first;
  }
  return mask;
}

// One row, lanes first .. first + 8; returns the lanes that the scalar step must do.
inline __attribute__((always_inline)) uint32_t half_step(const Sm90Operand& a, const Block& block,
                                                         int first, __m256 old, float* result) {
  __m256i r0 = _mm256_adds_epi16(load(&block.exponents[0][first]),
                                 _mm256_set1_epi32(static_cast<int>(a.exponents[0])));
#pragma GCC unroll 7
  for (int i = 1; i < kPairs; ++i) {
    r0 = _mm256_max_epi16(r0,
                          _mm256_adds_epi16(load(&block.exponents[i][first]),
                                            _mm256_set1_epi32(static_cast<int>(a.exponents[i]))));
  }
  r0 = _mm256_max_epi16(r0, _mm256_slli_epi32(r0, 16));
  const __m256i with_c = _mm256_max_epi32(
      r0, _mm256_or_si256(_mm256_castps_si256(old), _mm256_set1_epi32(static_cast<int>(1u << 31))));
  // (reference - 129) << 23, the accumulator included.
  const __m256i reference =
      _mm256_and_si256(with_c, _mm256_set1_epi32(static_cast<int>(0xff800000)));
  const __m256 scale =
      _mm256_castsi256_ps(_mm256_sub_epi32(_mm256_set1_epi32(23 << 23), reference));
  const __m256 unit =
      _mm256_castsi256_ps(_mm256_add_epi32(_mm256_set1_epi32(231 << 23), reference));
  __m256i sum0 = _mm256_cvttps_epi32(_mm256_mul_ps(old, scale));
  __m256i sum1 = _mm256_setzero_si256();
#pragma GCC unroll 8
  for (int k = 0; k < 16; k += 2) {
    const __m256 even =
        _mm256_mul_ps(_mm256_broadcast_ss(&a.x[k]), _mm256_load_ps(&block.w[k][first]));
    const __m256 odd =
        _mm256_mul_ps(_mm256_broadcast_ss(&a.x[k + 1]), _mm256_load_ps(&block.w[k + 1][first]));
    sum0 = _mm256_add_epi32(sum0, _mm256_cvttps_epi32(_mm256_mul_ps(even, scale)));
    sum1 = _mm256_add_epi32(sum1, _mm256_cvttps_epi32(_mm256_mul_ps(odd, scale)));
  }
  const __m256i sum = _mm256_add_epi32(sum0, sum1);
  _mm256_storeu_ps(result, _mm256_mul_ps(_mm256_cvtepi32_ps(sum), unit));

  const __m256i below = _mm256_cmpgt_epi32(_mm256_set1_epi32(a.lowest), r0);
  const __m256i within = _mm256_cmpgt_epi32(_mm256_set1_epi32(a.beyond), with_c);
  const __m256i large_sum = _mm256_add_epi32(sum, _mm256_set1_epi32(1 << 30));
  const __m256i good = _mm256_andnot_si256(_mm256_or_si256(below, large_sum), within);
  return (~static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(good))) & 0xffu) << first;
}

// One row of zeros: zeros become +0; what is not zero stays as it is, unless it is NaN or some b is
// not finite. Returns the lanes that the scalar step must do.
uint32_t zero_step(const Block& block, const float* before, float* after) {
  uint32_t mask = not_finite(block);
  for (int lane = 0; lane < 16; ++lane) {
    after[lane] = before[lane] == 0.0f ? 0.0f : before[lane];
    mask |= static_cast<uint32_t>(before[lane] != before[lane]) << lane;
  }
  return mask;
}

inline __attribute__((always_inline)) uint32_t row_step(const Sm90Operand& a, const Block& block,
                                                        const float* before, float* after) {
  if (__builtin_expect((a.flags & kAllZero) != 0, 0)) return zero_step(block, before, after);
  uint32_t bad = half_step(a, block, 0, _mm256_load_ps(before), after);
  bad |= half_step(a, block, 8, _mm256_load_ps(before + 8), after + 8);
  if (__builtin_expect(a.flags == 0, 1)) return bad;
  return (a.flags & kNotFinite) != 0 ? 0xffff : bad | not_finite(block);
}

__attribute__((noinline)) void step(const Sm90Operand* a, int64_t rows, const Block& block,
                                    int lanes, float* c, int64_t ldc) {
  for (int64_t row = 0; row < rows; ++row, ++a, c += ldc) {
    alignas(32) float before[16] = {};
    alignas(32) float after[16];
    if (lanes == 16) {
      _mm256_store_ps(before, _mm256_loadu_ps(c));
      _mm256_store_ps(before + 8, _mm256_loadu_ps(c + 8));
    } else {
      for (int lane = 0; lane < lanes; ++lane) before[lane] = c[lane];
    }
    const uint32_t bad = row_step(*a, block, before, after) & ((1u << lanes) - 1);
    if (__builtin_expect(bad != 0, 0)) sm90_step_lanes(*a, &block.pairs[0][0], bad, before, after);
    if (lanes == 16) {
      _mm256_storeu_ps(c, _mm256_load_ps(after));
      _mm256_storeu_ps(c + 8, _mm256_load_ps(after + 8));
    } else {
      for (int lane = 0; lane < lanes; ++lane) c[lane] = after[lane];
    }
  }
}

void sm90_chain_avx2(const Sm90Operand* a, int64_t step_stride, int64_t rows, const uint16_t* b,
                     int64_t lane_stride, int64_t k_stride, int lanes, int64_t k, float* c,
                     int64_t ldc) {
  const unsigned int control = _mm_getcsr();
  _mm_setcsr(_MM_MASK_MASK | _MM_ROUND_TOWARD_ZERO);
  Block block;
  for (int64_t first = 0; first < k; first += 16) {
    const uint16_t* from = b + first * k_stride;
    if (k_stride == 1 && k - first >= 16) {
      load_rows(from, lane_stride, 0, lanes, &block);
      load_rows(from, lane_stride, 8, lanes, &block);
    } else if (lane_stride == 1 && lanes == 16) {
      load_columns(from, k_stride, k - first, &block);
    } else {
      load_any(from, lane_stride, k_stride, lanes, k - first, &block);
    }
    unpack(&block);
    step(a + first / 16 * step_stride, rows, block, lanes, c, ldc);
  }
  _mm_setcsr(control);
}

}  // namespace

extern const Sm90Chain kSm90ChainAvx2 = sm90_chain_avx2;

}  // namespace samebits
