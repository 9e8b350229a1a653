// The float32 chain with AVX-512: lanes are 32 columns of b, each with its own ascending chain of
// fused multiply-adds, so the order of every sum is that of the portable loop.

#include <immintrin.h>

#include "harness/kernels/cpu/gemm_kernels.h"

namespace samebits {

extern const Sm90Prepare kSm90PrepareAvx2;
extern const Sm90Chain kSm90ChainAvx512;

namespace {

constexpr int kPanelK = 128;  // [kPanelK][32] float32 stay in the first-level cache

// 16 k of up to 16 lanes, transposed: panel[k * 32 + lane], zeros for lanes that are not there.
inline __attribute__((always_inline)) void transpose(const float* b, int64_t lane_stride, int lanes,
                                                     float* panel) {
  const auto load = [=](int lane) {
    return lane < lanes ? _mm512_loadu_si512(b + lane * lane_stride) : _mm512_setzero_si512();
  };
  __m512i u[16];
#pragma GCC unroll 4
  for (int q = 0; q < 16; q += 4) {
    const __m512i r0 = load(q);
    const __m512i r1 = load(q + 1);
    const __m512i r2 = load(q + 2);
    const __m512i r3 = load(q + 3);
    const __m512i t0 = _mm512_unpacklo_epi32(r0, r1);
    const __m512i t1 = _mm512_unpackhi_epi32(r0, r1);
    const __m512i t2 = _mm512_unpacklo_epi32(r2, r3);
    const __m512i t3 = _mm512_unpackhi_epi32(r2, r3);
    u[q + 0] = _mm512_unpacklo_epi64(t0, t2);
    u[q + 1] = _mm512_unpackhi_epi64(t0, t2);
    u[q + 2] = _mm512_unpacklo_epi64(t1, t3);
    u[q + 3] = _mm512_unpackhi_epi64(t1, t3);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const __m512i a = _mm512_shuffle_i32x4(u[j], u[j + 4], 0x44);
    const __m512i c = _mm512_shuffle_i32x4(u[j + 8], u[j + 12], 0x44);
    const __m512i d = _mm512_shuffle_i32x4(u[j], u[j + 4], 0xee);
    const __m512i e = _mm512_shuffle_i32x4(u[j + 8], u[j + 12], 0xee);
    _mm512_storeu_si512(panel + kF32Lanes * j, _mm512_shuffle_i32x4(a, c, 0x88));
    _mm512_storeu_si512(panel + kF32Lanes * (j + 4), _mm512_shuffle_i32x4(a, c, 0xdd));
    _mm512_storeu_si512(panel + kF32Lanes * (j + 8), _mm512_shuffle_i32x4(d, e, 0x88));
    _mm512_storeu_si512(panel + kF32Lanes * (j + 12), _mm512_shuffle_i32x4(d, e, 0xdd));
  }
}

void pack(const float* b, int64_t lane_stride, int64_t k_stride, int lanes, int64_t k,
          float* panel) {
  int64_t i = 0;
  if (k_stride == 1) {
    for (; i + 16 <= k; i += 16) {
      transpose(b + i, lane_stride, lanes, panel + i * kF32Lanes);
      transpose(b + 16 * lane_stride + i, lane_stride, lanes - 16, panel + i * kF32Lanes + 16);
    }
  }
  for (; i < k; ++i) {
    for (int lane = 0; lane < lanes; ++lane) {
      panel[i * kF32Lanes + lane] = b[lane * lane_stride + i * k_stride];
    }
  }
}

template <int kRows>
inline __attribute__((always_inline)) void chain_rows(const float* a, int64_t a_row_stride,
                                                      int64_t a_k_stride, const float* panel,
                                                      int64_t panel_stride, __mmask16 mask0,
                                                      __mmask16 mask1, int64_t k, float* c,
                                                      int64_t ldc) {
  __m512 sum[kRows][2];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    sum[r][0] = _mm512_maskz_loadu_ps(mask0, c + r * ldc);
    sum[r][1] = _mm512_maskz_loadu_ps(mask1, c + r * ldc + 16);
  }
  for (int64_t i = 0; i < k; ++i, panel += panel_stride, a += a_k_stride) {
    const __m512 b0 = _mm512_maskz_loadu_ps(mask0, panel);
    const __m512 b1 = _mm512_maskz_loadu_ps(mask1, panel + 16);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const __m512 x = _mm512_set1_ps(a[r * a_row_stride]);
      sum[r][0] = _mm512_fmadd_ps(x, b0, sum[r][0]);
      sum[r][1] = _mm512_fmadd_ps(x, b1, sum[r][1]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    _mm512_mask_storeu_ps(c + r * ldc, mask0, sum[r][0]);
    _mm512_mask_storeu_ps(c + r * ldc + 16, mask1, sum[r][1]);
  }
}

void f32_chain_avx512(const float* a, int64_t a_row_stride, int64_t a_k_stride, int64_t rows,
                      const float* b, int64_t lane_stride, int64_t k_stride, int lanes, int64_t k,
                      float* c, int64_t ldc) {
  alignas(64) float panel[kPanelK * kF32Lanes];
  const auto mask = static_cast<uint32_t>((uint64_t{1} << lanes) - 1);
  const auto mask0 = static_cast<__mmask16>(mask);
  const auto mask1 = static_cast<__mmask16>(mask >> 16);
  for (int64_t first = 0; first < k; first += kPanelK) {
    const int64_t length = k - first < kPanelK ? k - first : kPanelK;
    const float* from = b + first * k_stride;
    int64_t stride = k_stride;
    if (lane_stride != 1) {
      pack(from, lane_stride, k_stride, lanes, length, panel);
      from = panel;
      stride = kF32Lanes;
    }
    const float* x = a + first * a_k_stride;
    int64_t row = 0;
    for (; row + 8 <= rows; row += 8) {
      chain_rows<8>(x + row * a_row_stride, a_row_stride, a_k_stride, from, stride, mask0, mask1,
                    length, c + row * ldc, ldc);
    }
    for (; row + 2 <= rows; row += 2) {
      chain_rows<2>(x + row * a_row_stride, a_row_stride, a_k_stride, from, stride, mask0, mask1,
                    length, c + row * ldc, ldc);
    }
    if (row < rows) {
      chain_rows<1>(x + row * a_row_stride, a_row_stride, a_k_stride, from, stride, mask0, mask1,
                    length, c + row * ldc, ldc);
    }
  }
}

}  // namespace

extern const GemmKernels kGemmAvx512{kSm90PrepareAvx2, kSm90ChainAvx512, f32_chain_avx512};

}  // namespace samebits
