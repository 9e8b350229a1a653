#pragma once

#include <math.h>

#include "harness/kernels/cpu/math.h"

// The norm of all gradients and what clipping by it multiplies them with.
//
//   clip_scale(squares float32 [] each, clip_norm) -> norm float32 [], scale float32 []
//
// squares are the parameters' sums of squares (sum_squares.h), one or more. clip_norm is rounded to
// float32 first. float32, one rounding an operation, in the order written:
//   norm = sqrt(sum of squares): the sum from +0, ascending
//   scale = r < 1 ? r : 1, with r = clip_norm / (norm + 1e-6)
// So a NaN norm gives scale 1 and an infinite one 0.
//
// Source of the semantics: torch.nn.utils.clip_grad_norm_, but for the NaN, which it makes the
// scale too. The epsilon keeps a zero norm finite.
namespace samebits {

struct ClipScale {
  float norm;
  float scale;
};

SAMEBITS_MATH ClipScale clip_scale_of_sum(float sum, float clip_norm) {
  const float norm = canonical_nan_f32(sqrtf(sum));
  const float ratio = clip_norm / (norm + 1e-6f);
  return {norm, ratio < 1.0f ? ratio : 1.0f};
}

}  // namespace samebits
