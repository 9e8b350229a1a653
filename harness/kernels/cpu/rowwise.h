#pragma once

#include <stdint.h>

#include "harness/kernels/adamw.h"

// The inner loops of the operators that work row by row or element by element. One source,
// rowwise.inc, is compiled once per instruction set; the compiler vectorises the same IEEE
// operations, so every table gives the same bits. Nothing here may pull in inline functions of
// other headers: a copy compiled for AVX-512 could be the one that the linker keeps.
namespace samebits {

struct Bf16 {
  uint16_t bits;
};

// The loops for elements of type T, Bf16 or float. Arithmetic: the header of each operator.
template <typename T>
struct RowKernels {
  // x, y [rows, dim]; weight [dim].
  void (*rms_norm)(const T* x, const T* weight, T* y, int64_t rows, int64_t dim, float eps,
                   bool fused_rounding);
  void (*rms_norm_dgrad)(const T* dy, const T* x, const T* weight, T* dx, int64_t rows, int64_t dim,
                         float eps);
  // One block of rows; sums [dim] is overwritten.
  void (*rms_norm_wgrad_block)(const T* dy, const T* x, float* sums, int64_t rows, int64_t dim,
                               float eps);
  // One token: x, y [heads, dim]; cos, sin [dim / 2].
  void (*rope)(const T* x, const float* cos, const float* sin, T* y, int64_t heads, int64_t dim,
               bool inverse);
  void (*silu_mul)(const T* gate, const T* up, T* y, int64_t n, bool fused_rounding);
  void (*silu_mul_backward)(const T* dy, const T* gate, const T* up, T* dgate, T* dup, int64_t n);
  void (*residual_add)(const T* x, const T* y, T* out, int64_t n);
  // sum += x, and the rounding of a sum.
  void (*accumulate)(const T* x, float* sum, int64_t n);
  void (*round_row)(const float* sum, T* out, int64_t n);
  // Over x [n].
  float (*log_sum_exp)(const T* x, int64_t n);
  // dx [width], x [n]; n <= width.
  void (*log_softmax_backward)(float dlogprob, const T* x, float lse, int64_t target, T* dx,
                               int64_t n, int64_t width);
  // z = x / temperature.
  void (*scale_logits)(const T* x, float temperature, float* z, int64_t n);
  // At most kSumSquaresBlock elements.
  float (*sum_squares_block)(const T* x, int64_t n);
  // master may be null; the second takes a float32 gradient.
  void (*adamw)(T* weight, float* master, float* m, float* v, const T* grad, int64_t n,
                const AdamwConstants& constants);
  void (*adamw_float_grad)(T* weight, float* master, float* m, float* v, const float* grad,
                           int64_t n, const AdamwConstants& constants);
};

// What does not depend on the logits' dtype.
struct SampleKernels {
  // score = z - log(-log(u)), u from the words.
  void (*gumbel_scores)(const float* z, const uint32_t* words, float* score, int64_t n);
  // probability = exp(z - max z) / sum of those.
  void (*softmax)(const float* z, float* probability, int64_t n);
};

// The tables of the selected instruction set.
template <typename T>
const RowKernels<T>& row_kernels();
const SampleKernels& sample_kernels();

}  // namespace samebits
