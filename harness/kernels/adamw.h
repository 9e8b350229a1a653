#pragma once

#include <stdint.h>

// One step of AdamW, in place.
//
//   adamw_(weight, master?, m, v, grad, scale, lr, beta1, beta2, eps, weight_decay, step)
//
// weight is bf16 or float32; grad has weight's dtype or float32; m, v and master are float32; all
// have one shape and are contiguous. step counts from 1. Element by element, float32, one rounding
// an operation, in the order written, with the constants of AdamwConstants:
//   p = master, or weight where there is none;   g = grad * scale
//   p = p * decay
//   m = m + one_minus_beta1 * (g - m)
//   v = v * beta2 + (one_minus_beta2 * g) * g
//   p = p - (step_size * m) / (sqrt(v) / sqrt_correction2 + eps)
// then master = p (where there is one) and weight = round(p).
//
// Source of the semantics: torch.optim.AdamW, the single-tensor formula (decay before the moments;
// eps outside the root). Constants are computed in double and rounded once.
namespace samebits {

struct AdamwConstants {
  float scale;
  float decay;            // 1 - lr * weight_decay
  float one_minus_beta1;  // 1 - beta1
  float beta2;
  float one_minus_beta2;   // 1 - beta2
  float step_size;         // lr / (1 - beta1^step)
  float sqrt_correction2;  // sqrt(1 - beta2^step)
  float eps;
};

// Powers by repeated squaring: the C library's pow may differ in the last bit between machines.
AdamwConstants adamw_constants(double scale, double lr, double beta1, double beta2, double eps,
                               double weight_decay, int64_t step);

}  // namespace samebits
