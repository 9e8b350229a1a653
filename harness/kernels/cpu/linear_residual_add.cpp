#include "harness/kernels/linear_residual_add.h"

#include <torch/library.h>

#include <tuple>

#include "harness/kernels/cpu/block.h"
#include "harness/kernels/linear.h"

namespace samebits {
namespace {

std::tuple<at::Tensor, at::Tensor> linear_residual_add(const at::Tensor& x,
                                                       const at::Tensor& weight, int64_t slice,
                                                       at::ScalarType out_dtype,
                                                       const at::Tensor& residual) {
  at::Tensor y = cpu::linear(x, weight, slice, /*dgrad_slice=*/0, out_dtype);
  at::Tensor sum = cpu::residual_add(residual, y);
  return {y, sum};
}

TORCH_LIBRARY_IMPL(samebits, CPU, m) { m.impl("linear_residual_add", linear_residual_add); }

}  // namespace
}  // namespace samebits
