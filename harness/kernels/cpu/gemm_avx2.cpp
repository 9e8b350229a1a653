// The float32 chain with AVX2 and FMA, in the form of gemm_avx512.cpp: 32 lanes in four vectors.

#include <immintrin.h>

#include "harness/kernels/cpu/gemm_kernels.h"

namespace samebits {

extern const Sm90Prepare kSm90PrepareAvx2;
extern const Sm90Chain kSm90ChainAvx2;

namespace {

constexpr int kPanelK = 128;
constexpr int kVectors = kF32Lanes / 8;

// 8 k of up to 8 lanes, transposed: panel[k * 32 + lane], zeros for lanes that are not there.
inline __attribute__((always_inline)) void transpose(const float* b, int64_t lane_stride, int lanes,
                                                     float* panel) {
  const auto load = [=](int lane) {
    return lane < lanes ? _mm256_loadu_ps(b + lane * lane_stride) : _mm256_setzero_ps();
  };
  __m256 u[8];
#pragma GCC unroll 2
  for (int q = 0; q < 8; q += 4) {
    const __m256 r0 = load(q);
    const __m256 r1 = load(q + 1);
    const __m256 r2 = load(q + 2);
    const __m256 r3 = load(q + 3);
    const __m256 t0 = _mm256_unpacklo_ps(r0, r1);
    const __m256 t1 = _mm256_unpackhi_ps(r0, r1);
    const __m256 t2 = _mm256_unpacklo_ps(r2, r3);
    const __m256 t3 = _mm256_unpackhi_ps(r2, r3);
    u[q + 0] = _mm256_shuffle_ps(t0, t2, 0x44);
    u[q + 1] = _mm256_shuffle_ps(t0, t2, 0xee);
    u[q + 2] = _mm256_shuffle_ps(t1, t3, 0x44);
    u[q + 3] = _mm256_shuffle_ps(t1, t3, 0xee);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    _mm256_storeu_ps(panel + kF32Lanes * j, _mm256_permute2f128_ps(u[j], u[j + 4], 0x20));
    _mm256_storeu_ps(panel + kF32Lanes * (j + 4), _mm256_permute2f128_ps(u[j], u[j + 4], 0x31));
  }
}

void pack(const float* b, int64_t lane_stride, int64_t k_stride, int lanes, int64_t k,
          float* panel) {
  int64_t i = 0;
  if (k_stride == 1) {
    for (; i + 8 <= k; i += 8) {
      for (int lane = 0; lane < kF32Lanes; lane += 8) {
        transpose(b + lane * lane_stride + i, lane_stride, lanes - lane,
                  panel + i * kF32Lanes + lane);
      }
    }
  }
  for (; i < k; ++i) {
    for (int lane = 0; lane < kF32Lanes; ++lane) {
      panel[i * kF32Lanes + lane] = lane < lanes ? b[lane * lane_stride + i * k_stride] : 0.0f;
    }
  }
}

template <int kRows>
inline __attribute__((always_inline)) void chain_rows(const float* a, int64_t a_row_stride,
                                                      int64_t a_k_stride, const float* panel,
                                                      int64_t panel_stride, int64_t k, float* c,
                                                      int64_t ldc) {
  __m256 sum[kRows][kVectors];
#pragma GCC unroll 2
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sum[r][v] = _mm256_loadu_ps(c + r * ldc + 8 * v);
  }
  for (int64_t i = 0; i < k; ++i, panel += panel_stride, a += a_k_stride) {
#pragma GCC unroll 2
    for (int r = 0; r < kRows; ++r) {
      const __m256 x = _mm256_set1_ps(a[r * a_row_stride]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        sum[r][v] = _mm256_fmadd_ps(x, _mm256_loadu_ps(panel + 8 * v), sum[r][v]);
      }
    }
  }
#pragma GCC unroll 2
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) _mm256_storeu_ps(c + r * ldc + 8 * v, sum[r][v]);
  }
}

// Rows of fewer than 32 lanes go through a copy of full width.
template <int kRows>
inline __attribute__((always_inline)) void chain_lanes(const float* a, int64_t a_row_stride,
                                                       int64_t a_k_stride, const float* panel,
                                                       int64_t panel_stride, int lanes, int64_t k,
                                                       float* c, int64_t ldc) {
  if (lanes == kF32Lanes) {
    chain_rows<kRows>(a, a_row_stride, a_k_stride, panel, panel_stride, k, c, ldc);
    return;
  }
  float wide[kRows * kF32Lanes] = {};
  for (int r = 0; r < kRows; ++r) {
    for (int lane = 0; lane < lanes; ++lane) wide[r * kF32Lanes + lane] = c[r * ldc + lane];
  }
  chain_rows<kRows>(a, a_row_stride, a_k_stride, panel, panel_stride, k, wide, kF32Lanes);
  for (int r = 0; r < kRows; ++r) {
    for (int lane = 0; lane < lanes; ++lane) c[r * ldc + lane] = wide[r * kF32Lanes + lane];
  }
}

void f32_chain_avx2(const float* a, int64_t a_row_stride, int64_t a_k_stride, int64_t rows,
                    const float* b, int64_t lane_stride, int64_t k_stride, int lanes, int64_t k,
                    float* c, int64_t ldc) {
  alignas(32) float panel[kPanelK * kF32Lanes];
  for (int64_t first = 0; first < k; first += kPanelK) {
    const int64_t length = k - first < kPanelK ? k - first : kPanelK;
    const float* from = b + first * k_stride;
    int64_t stride = k_stride;
    if (lane_stride != 1 || lanes != kF32Lanes) {
      pack(from, lane_stride, k_stride, lanes, length, panel);
      from = panel;
      stride = kF32Lanes;
    }
    const float* x = a + first * a_k_stride;
    int64_t row = 0;
    for (; row + 2 <= rows; row += 2) {
      chain_lanes<2>(x + row * a_row_stride, a_row_stride, a_k_stride, from, stride, lanes, length,
                     c + row * ldc, ldc);
    }
    if (row < rows) {
      chain_lanes<1>(x + row * a_row_stride, a_row_stride, a_k_stride, from, stride, lanes, length,
                     c + row * ldc, ldc);
    }
  }
}

}  // namespace

extern const GemmKernels kGemmAvx2{kSm90PrepareAvx2, kSm90ChainAvx2, f32_chain_avx2};

}  // namespace samebits
