#pragma once

#include <stdint.h>

// The parts of attention that are not matrix products, one row at a time (arithmetic:
// flash_attention.h). One source, flash_attention_rows.inc, is compiled once per instruction set,
// so every table gives the same bits. No inline functions with linkage may come in here.

namespace samebits {

struct AttentionRows {
  // x[i] = exp(x[i]).
  void (*exp)(float* x, int64_t n);
  // out[i] = m[i] + log(l[i]).
  void (*log_sum)(const float* m, const float* l, int64_t n, float* out);
  // s[j] *= scale; returns max(m, s[0..n)).
  float (*scale_max)(float* s, int64_t n, float scale, float m);
  // s[j] = exp(s[j] - m); returns the sum.
  float (*exp_sum)(float* s, int64_t n, float m);
  // o[d] *= factor.
  void (*multiply)(float* o, int64_t n, float factor);
  // out[d] = o[d] / l, rounded.
  void (*divide_f32)(const float* o, int64_t n, float l, float* out);
  void (*divide_bf16)(const float* o, int64_t n, float l, uint16_t* out);
  void (*round_bf16)(const float* x, int64_t n, uint16_t* out);
  // None of x[0..n) is infinite or NaN.
  bool (*finite_bf16)(const uint16_t* x, int64_t n);
  // Sum of x[d] * y[d].
  float (*dot_f32)(const float* x, const float* y, int64_t n);
  float (*dot_bf16)(const uint16_t* x, const uint16_t* y, int64_t n);
  // Of one query: s[j] becomes p, dp[j] becomes ds.
  void (*gradients)(float* s, float* dp, int64_t n, float scale, float lse, float delta);
};

extern const AttentionRows kAttentionRowsPortable;
#if defined(__x86_64__)
extern const AttentionRows kAttentionRowsAvx2;
extern const AttentionRows kAttentionRowsAvx512;
#endif

}  // namespace samebits
