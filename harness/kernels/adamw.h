#pragma once

#include <math.h>
#include <stdint.h>

#include "harness/kernels/cpu/math.h"

// One step of AdamW, in place.
//
//   adamw_(weight, master?, m, v, grad, scale float32 [], step int64 [], lr, beta1, beta2, eps,
//          weight_decay)
//
// weight is bf16 or float32; grad has weight's dtype or float32; m, v and master are float32, or m
// and v bf16 beside a weight and a grad in bf16 and no master; all have one shape and are
// contiguous. step counts from 1. What changes from step to step is a tensor, so that a captured
// step does not keep the value that it was captured with. Element by element, float32, one rounding
// an operation, in the order written, with the constants of AdamwConstants:
//   p = master, or weight where there is none;   g = grad * scale
//   p = p * decay
//   m = m + one_minus_beta1 * (g - m)
//   v = v * beta2 + (one_minus_beta2 * g) * g
//   p = p - (step_size * m) / (sqrt(v) / sqrt_correction2 + eps)
// then master = p (where there is one) and weight = round(p). With moments in bf16 every statement
// of torch's loop rounds to bf16, since each is a tensor there: adamw_bf16() below.
//
// Source of the semantics: torch.optim.AdamW, the single-tensor formula (decay before the moments;
// eps outside the root). Constants are computed in double and rounded once.
namespace samebits {

struct AdamwSettings {
  double lr;
  double beta1;
  double beta2;
  double eps;
  double weight_decay;
};

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

// By repeated squaring: the C library's pow may differ in the last bit between machines.
SAMEBITS_MATH double adamw_power(double base, int64_t exponent) {
  double result = 1.0;
  for (; exponent > 0; exponent >>= 1, base *= base) {
    if (exponent & 1) result *= base;
  }
  return result;
}

// For kernels, which have read `scale` and `step` where those are. IEEE operations only.
SAMEBITS_MATH AdamwConstants adamw_constants(const AdamwSettings& settings, float scale,
                                             int64_t step) {
  const double correction1 = 1.0 - adamw_power(settings.beta1, step);
  const double correction2 = 1.0 - adamw_power(settings.beta2, step);
  return {scale,
          static_cast<float>(1.0 - settings.lr * settings.weight_decay),
          static_cast<float>(1.0 - settings.beta1),
          static_cast<float>(settings.beta2),
          static_cast<float>(1.0 - settings.beta2),
          static_cast<float>(settings.lr / correction1),
          static_cast<float>(sqrt(correction2)),
          static_cast<float>(settings.eps)};
}

// Values of bfloat16.
struct AdamwBf16 {
  float p;
  float m;
  float v;
};

SAMEBITS_MATH AdamwBf16 adamw_bf16(AdamwBf16 x, float grad, const AdamwConstants& k) {
  const float g = round_to_bf16(grad * k.scale);
  const float p = round_to_bf16(x.p * k.decay);
  const float m = round_to_bf16(x.m + k.one_minus_beta1 * (g - x.m));
  const float decayed = round_to_bf16(x.v * k.beta2);
  const float v = round_to_bf16(decayed + (k.one_minus_beta2 * g) * g);
  const float root = round_to_bf16(sqrtf(v));
  const float corrected = round_to_bf16(root / k.sqrt_correction2);
  const float denominator = round_to_bf16(corrected + k.eps);
  return {round_to_bf16(p - (k.step_size * m) / denominator), m, v};
}

}  // namespace samebits
