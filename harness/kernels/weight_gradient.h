#pragma once

#include <ATen/core/List.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

// Forward operators of which the backward adds the weight's gradient to a sum (step_gradient.h).
namespace samebits {

// Where it goes. Without a sum autograd returns the gradient, rounded to the weight's dtype: that
// of one sequence.
struct WeightGradient {
  at::Tensor sum;     // float32, of the weight's shape and placement; or undefined
  at::Tensor starts;  // step_gradient.h; undefined: one sequence
  // Shared by an embedding and the head that it is tied to, both with `starts`. The head's
  // backward, which comes first, leaves there what the embedding's needs to add both (tied_wgrad_).
  std::optional<c10::List<at::Tensor>> tied = {};
};

// As the operators of functional.h. Autograd would round a float32 gradient of a bf16 weight, so it
// is given none: grad() has to allow an input without a gradient. The weight has to require one,
// or nothing is added.
namespace ops {

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, int64_t slice, int64_t dgrad_slice,
                  at::ScalarType out_dtype, const WeightGradient& into);
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, bool fused_rounding,
                    const WeightGradient& into);
at::Tensor embedding(const at::Tensor& ids, const at::Tensor& weight, int64_t first_row,
                     const WeightGradient& into);

}  // namespace ops
}  // namespace samebits
