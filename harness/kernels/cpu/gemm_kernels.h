#pragma once

#include <stdint.h>

// What the matrix micro-kernels and their callers agree on. Free of templates and of anything with
// linkage of its own, because translation units built for AVX2 and AVX-512 include it.

namespace samebits {

// One step (16 k) of one row of the left operand, prepared for the vector kernels.
struct Sm90Operand {
  float x[16];            // the bf16 values; zeros after the end of k
  uint32_t exponents[8];  // int16 pairs (k even low): (biased exponent - 127) << 7; zero: -32768
  int32_t lowest;         // the fast path holds if lowest <= reference < beyond, both as
  int32_t beyond;         // (e(a) + e(b), biased, - 383) << 23
  uint32_t flags;
};
constexpr uint32_t kHasZero = 1;    // some x is zero: an infinite b would have to give NaN
constexpr uint32_t kAllZero = 2;    // all are
constexpr uint32_t kNotFinite = 4;  // some x is infinite or NaN

// a: [rows, k] bf16 at row * row_stride + k * k_stride -> out [ceil(k / 16)][rows].
using Sm90Prepare = void (*)(const uint16_t* a, int64_t row_stride, int64_t k_stride, int64_t rows,
                             int64_t k, Sm90Operand* out);

// Columns ("lanes") that one call of a chain kernel handles at most.
constexpr int kSm90Lanes = 16;
constexpr int kF32Lanes = 32;

// c[row * ldc + lane] = chain(c[row * ldc + lane]; a[row, :], b[lane, :]) for `lanes` lanes. The
// operands of row r in step s are a[s * step_stride + r], for ceil(k / 16) steps; b[lane, k] is at
// lane * lane_stride + k * k_stride.
using Sm90Chain = void (*)(const Sm90Operand* a, int64_t step_stride, int64_t rows,
                           const uint16_t* b, int64_t lane_stride, int64_t k_stride, int lanes,
                           int64_t k, float* c, int64_t ldc);

// The same for float32: one ascending chain of fused multiply-adds.
using F32Chain = void (*)(const float* a, int64_t a_row_stride, int64_t a_k_stride, int64_t rows,
                          const float* b, int64_t lane_stride, int64_t k_stride, int lanes,
                          int64_t k, float* c, int64_t ldc);

struct GemmKernels {
  Sm90Prepare sm90_prepare;
  Sm90Chain sm90_chain;
  F32Chain f32_chain;
};

extern const GemmKernels kGemmPortable;
#if defined(__x86_64__)
extern const GemmKernels kGemmAvx2;
extern const GemmKernels kGemmAvx512;
#endif

// The lanes of `mask`, by the scalar step: c[lane] = sm90_step(old_c[lane], a, b[:, lane]). `pairs`
// is [8][16], k even in the low half. For what the vector forms hand over.
void sm90_step_lanes(const Sm90Operand& a, const uint32_t* pairs, uint32_t mask, const float* old_c,
                     float* c);

}  // namespace samebits
