#pragma once

#include <stdint.h>

#include "harness/kernels/cpu/math.h"

// The matrix step of the platform `sm90`, `mma.sync.m16n8k16` with bf16 inputs and a float32
// accumulator, in integer arithmetic. This function IS the statement: every other form of the step
// is compared with it to the bit, and tests/oracle/sm90_step holds what an H100 returned.
//
//   1. A product is exact: 8-bit mantissas (hidden bit included; a denormal has none and exponent
//      -126) give a 2.14 number with exponent e(a) + e(b), not renormalised when it reaches 2.
//   2. The largest exponent among the non-zero terms (16 products and C, which is 1.23) is the
//      reference, but it is -133 at least.
//   3. Each term is shifted right to the reference and cut toward zero, on its magnitude, at 25
//      fraction bits; then it takes its sign.
//   4. The 17 integers are added exactly; the sum is normalised and cut toward zero to float32,
//      denormal results kept, overflow to infinity, every zero +0 (cut down to zero or exact).
//   5. NaN among the inputs, infinity times zero, or infinities of both signs give 0x7fffffff.
//      Otherwise an infinity wins.
//
// The order of the 16 terms does not matter.

namespace samebits {

constexpr int kSm90StepK = 16;

SAMEBITS_MATH float sm90_step(float c, const uint16_t* a, const uint16_t* b) {
  constexpr int kFractionBits = 25;
  constexpr int kLowestReference = -133;
  uint32_t mantissas[kSm90StepK];
  int exponents[kSm90StepK];
  int reference = kLowestReference;
  bool positive_infinity = false;
  bool negative_infinity = false;
  bool nan = false;

  for (int k = 0; k < kSm90StepK; ++k) {
    const int ea = (a[k] >> 7) & 0xff;
    const int eb = (b[k] >> 7) & 0xff;
    const uint32_t ma = (a[k] & 0x7fu) | (ea != 0 ? 0x80u : 0u);
    const uint32_t mb = (b[k] & 0x7fu) | (eb != 0 ? 0x80u : 0u);
    mantissas[k] = 0;
    exponents[k] = kLowestReference;
    if (ea == 255 || eb == 255) {
      const bool a_nan = ea == 255 && ma != 0x80u;
      const bool b_nan = eb == 255 && mb != 0x80u;
      if (a_nan || b_nan || ma == 0 || mb == 0) {
        nan = true;
      } else if (((a[k] ^ b[k]) & 0x8000u) != 0) {
        negative_infinity = true;
      } else {
        positive_infinity = true;
      }
      continue;
    }
    mantissas[k] = ma * mb;
    if (mantissas[k] != 0) {
      exponents[k] = (ea != 0 ? ea : 1) + (eb != 0 ? eb : 1) - 254;
      reference = exponents[k] > reference ? exponents[k] : reference;
    }
  }

  const uint32_t c_bits = f32_bits(c);
  const int ec = static_cast<int>((c_bits >> 23) & 0xffu);
  const uint32_t mc = (c_bits & 0x7fffffu) | (ec != 0 ? 0x800000u : 0u);
  const bool c_negative = (c_bits >> 31) != 0;
  const int c_exponent = (ec != 0 ? ec : 1) - 127;
  if (ec == 255) {
    nan = nan || mc != 0x800000u;
    positive_infinity = positive_infinity || !c_negative;
    negative_infinity = negative_infinity || c_negative;
  } else if (mc != 0) {
    reference = c_exponent > reference ? c_exponent : reference;
  }
  if (nan || (positive_infinity && negative_infinity)) return f32_from_bits(kNanF32);
  if (positive_infinity) return f32_from_bits(0x7f800000u);
  if (negative_infinity) return f32_from_bits(0xff800000u);

  int64_t sum = 0;  // in units of 2^(reference - 25)
  for (int k = 0; k < kSm90StepK; ++k) {
    if (mantissas[k] == 0) continue;
    const int shift = reference - exponents[k];
    const int64_t term = shift < 32 ? (mantissas[k] << (kFractionBits - 14)) >> shift : 0;
    sum += ((a[k] ^ b[k]) & 0x8000u) != 0 ? -term : term;
  }
  if (mc != 0) {
    const int shift = reference - c_exponent;
    const int64_t term = shift < 32 ? (mc << (kFractionBits - 23)) >> shift : 0;
    sum += c_negative ? -term : term;
  }
  if (sum == 0) return 0.0f;

  const uint32_t sign = sum < 0 ? 0x80000000u : 0u;
  const uint64_t magnitude = static_cast<uint64_t>(sum < 0 ? -sum : sum);  // below 2^32
  const int unit = reference - kFractionBits;
  const int exponent = unit + 63 - __builtin_clzll(magnitude);
  if (exponent > 127) return f32_from_bits(sign | 0x7f800000u);
  const int lsb = exponent < -126 ? -149 : exponent - 23;
  const int shift = lsb - unit;
  const uint64_t kept = shift >= 64 ? 0 : shift >= 0 ? magnitude >> shift : magnitude << -shift;
  if (kept == 0) return 0.0f;
  const uint32_t field = static_cast<uint32_t>(exponent < -126 ? 0 : exponent + 127) << 23;
  return f32_from_bits(sign | field | (static_cast<uint32_t>(kept) & 0x7fffffu));
}

}  // namespace samebits
