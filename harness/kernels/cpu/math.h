#pragma once

// Scalar float32 mathematics of the contract: conversions, exp and log from IEEE operations only,
// so that every compiler, instruction set and device gives the same bits. Nothing here calls a
// library (except fmaf, which IEEE 754 defines exactly), branches on data or has external linkage:
// a translation unit built for AVX-512 keeps its own copy, and loops over these functions
// vectorise. Device code includes it as it is (compile with -fmad=false).

#include <math.h>
#include <stdint.h>

#if defined(__CUDACC__)
#define SAMEBITS_HOST_DEVICE __host__ __device__
#else
#define SAMEBITS_HOST_DEVICE
#endif
#define SAMEBITS_MATH SAMEBITS_HOST_DEVICE static inline __attribute__((always_inline, unused))

namespace samebits {

// A NaN that an operator of the contract list returns has these bits: what the H100's matrix step
// returns in float32, and what c10's conversion makes of any NaN in bf16.
constexpr uint32_t kNanF32 = 0x7fffffffu;
constexpr uint16_t kNanBf16 = 0x7fc0u;

SAMEBITS_MATH uint32_t f32_bits(float x) {
#if defined(__CUDA_ARCH__)
  return __float_as_uint(x);
#else
  return __builtin_bit_cast(uint32_t, x);
#endif
}

SAMEBITS_MATH float f32_from_bits(uint32_t bits) {
#if defined(__CUDA_ARCH__)
  return __uint_as_float(bits);
#else
  return __builtin_bit_cast(float, bits);
#endif
}

// x * y + z with one rounding.
SAMEBITS_MATH float fma_f32(float x, float y, float z) {
#if defined(__CUDA_ARCH__)
  return fmaf(x, y, z);
#else
  return __builtin_fmaf(x, y, z);
#endif
}

SAMEBITS_MATH float canonical_nan_f32(float x) { return x != x ? f32_from_bits(kNanF32) : x; }

SAMEBITS_MATH float bf16_to_f32(uint16_t x) {
  return f32_from_bits(static_cast<uint32_t>(x) << 16);
}

// To nearest, ties to even; overflow to infinity; every NaN becomes kNanBf16.
SAMEBITS_MATH uint16_t f32_to_bf16(float x) {
  const uint32_t bits = f32_bits(x);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return static_cast<uint16_t>(x != x ? kNanBf16 : rounded);
}

// x rounded to bf16 and back.
SAMEBITS_MATH float round_to_bf16(float x) { return bf16_to_f32(f32_to_bf16(x)); }

// e^x = 2^n times what is returned, with n in the low bits of `shifted`.
//   x = n ln 2 + r, |r| <= ln 2 / 2;  e^r = 1 + r + r^2 Q(r), Q minimax of degree 4 (relative error
//   3e-9).
constexpr float kExpMagic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
SAMEBITS_MATH float reduced_exp_f32(float x, float& shifted) {
  shifted = fma_f32(x, 0x1.715476p+0f, kExpMagic);
  const float nf = shifted - kExpMagic;
  float r = fma_f32(nf, -0x1.63p-1f, x);
  r = fma_f32(nf, 0x1.bd0106p-13f, r);
  float q = 0x1.6db45ep-10f;
  q = fma_f32(q, r, 0x1.123b7ep-7f);
  q = fma_f32(q, r, 0x1.55545ep-5f);
  q = fma_f32(q, r, 0x1.55548ep-3f);
  q = fma_f32(q, r, 0x1.0p-1f);
  return fma_f32(r * r, q, r) + 1.0f;
}

// e^x within 1.04 ULP (denormal results included). exp(-inf) = 0, exp(+inf) = +inf, NaN gives NaN.
// 2^n comes in two exact factors, so that a denormal result is rounded once.
SAMEBITS_MATH float exp_f32(float x) {
  x = x > 89.0f ? 89.0f : x;      // beyond: +inf
  x = x < -104.0f ? -104.0f : x;  // beyond: 0
  float shifted = 0.0f;
  const float p = reduced_exp_f32(x, shifted);
  const uint32_t n = f32_bits(shifted) - f32_bits(kExpMagic);
  const uint32_t half = static_cast<uint32_t>(static_cast<int32_t>(n) >> 1);
  const float scale0 = f32_from_bits((half + 127u) << 23);
  const float scale1 = f32_from_bits((n - half + 127u) << 23);
  return p * scale0 * scale1;
}

// exp_f32(x), to the bit, in half the instructions, where |x| <= kOrdinaryExp: the result is
// normal, so that 2^n is an addition to its exponent.
constexpr float kOrdinaryExp = 86.0f;
SAMEBITS_MATH float ordinary_exp_f32(float x) {
  float shifted = 0.0f;
  const float p = reduced_exp_f32(x, shifted);
  return f32_from_bits(f32_bits(p) + (f32_bits(shifted) << 23));  // the magic's own bits go
}

// Natural logarithm within 0.82 ULP (denormal arguments included). log(+-0) = -inf, log(x < 0) and
// log(NaN) are NaN, log(+inf) = +inf.
//   x = 2^e m, m in [sqrt(1/2), sqrt(2));  f = m - 1;  log m = f - f^2/2 + f^3 R(f), R minimax of
//   degree 8 (relative error 8e-10).
SAMEBITS_MATH float log_f32(float x) {
  const bool denormal = x < 0x1.0p-126f;
  const float y = denormal ? x * 0x1.0p+23f : x;
  const uint32_t bits = f32_bits(y);
  const uint32_t e = static_cast<uint32_t>(static_cast<int32_t>(bits - 0x3f3504f3u) >> 23);
  const float f = f32_from_bits(bits - (e << 23)) - 1.0f;
  const float n = static_cast<float>(static_cast<int32_t>(e)) - (denormal ? 23.0f : 0.0f);
  float q = 0x1.14575p-4f;
  q = fma_f32(q, f, -0x1.de3c18p-4f);
  q = fma_f32(q, f, 0x1.e6f096p-4f);
  q = fma_f32(q, f, -0x1.fc220ap-4f);
  q = fma_f32(q, f, 0x1.233766p-3f);
  q = fma_f32(q, f, -0x1.555c4ep-3f);
  q = fma_f32(q, f, 0x1.99a4b6p-3f);
  q = fma_f32(q, f, -0x1.000006p-2f);
  q = fma_f32(q, f, 0x1.555548p-2f);
  const float f2 = f * f;
  float tail = fma_f32(f2 * f, q, -0.5f * f2);
  tail = fma_f32(n, -0x1.bd0106p-13f, tail);
  float result = fma_f32(n, 0x1.63p-1f, f + tail);
  result = x > 0x1.fffffep+127f ? x : result;
  result = x == 0.0f ? f32_from_bits(0xff800000u) : result;
  result = x < 0.0f || x != x ? f32_from_bits(kNanF32) : result;
  return result;
}

}  // namespace samebits
