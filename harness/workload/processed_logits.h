#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/_to_copy.h>

namespace samebits {

// Logits as the draw sees them, for logprobs of what was drawn from and not of the model alone:
// float32, x[i] / temperature with one rounding. `temperature`: float32 [], on the device of the
// logits, since a card divides by a number of the host through its reciprocal.
//
// Source of the semantics: vLLM's `logprobs_mode` "processed_logprobs", without filters.
inline at::Tensor processed_logits(const at::Tensor& logits, const at::Tensor& temperature) {
  const bool is_float = logits.scalar_type() == at::kFloat;
  return (is_float ? logits : at::_to_copy(logits, logits.options().dtype(at::kFloat)))
      .div(temperature);
}

}  // namespace samebits
