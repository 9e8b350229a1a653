#pragma once

#include <ATen/ATen.h>

#include <optional>

#include "harness/kernels/functional.h"

// The operators that add to a sum (harness/kernels/step_gradient.h), from +0. float32.
namespace samebits::testing {

using Starts = std::optional<at::Tensor>;

inline at::Tensor starts_of(const std::vector<int64_t>& starts) {
  return at::tensor(starts).to(at::kInt);
}

inline at::Tensor zero_sum(at::IntArrayRef sizes, const at::Tensor& beside) {
  return at::zeros(sizes, at::TensorOptions().dtype(at::kFloat).device(beside.device()));
}

inline at::Tensor linear_wgrad(const at::Tensor& dy, const at::Tensor& x,
                               const Starts& starts = {}) {
  const at::Tensor sum = zero_sum({dy.size(-1), x.size(-1)}, x);
  ops::linear_wgrad_(dy, x, starts, sum);
  return sum;
}

inline at::Tensor rms_norm_wgrad(const at::Tensor& dy, const at::Tensor& x, double eps,
                                 const Starts& starts = {}) {
  const at::Tensor sum = zero_sum({x.size(-1)}, x);
  ops::rms_norm_wgrad_(dy, x, eps, starts, sum);
  return sum;
}

inline at::Tensor embedding_wgrad(const at::Tensor& dy, const at::Tensor& ids, int64_t rows,
                                  int64_t first_row, const Starts& starts = {}) {
  const at::Tensor sum = zero_sum({rows, dy.size(-1)}, dy);
  ops::embedding_wgrad_(dy, ids, first_row, starts, sum);
  return sum;
}

}  // namespace samebits::testing
