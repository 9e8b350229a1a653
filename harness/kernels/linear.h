#pragma once

// NOTE [The arithmetic of linear]
//
//   linear        out[t, n] = sum over k of x[t, k] * weight[n, k]         out_dtype
//   linear_dgrad  dx[t, k]  = sum over n of dy[t, n] * weight[n, k]        float32
//   linear_wgrad_ dw[n, k] += sum over t of dy[t, n] * x[t, k]             float32
//
// The summed index ("k" below) ascends. Its order is all that decides the bits; rows of the result
// do not depend on each other, on their number or place, on threads or on the instruction set.
//
// A chain starts at +0, that of linear_wgrad_ at what dw holds (step_gradient.h says how sequences
// cut it, and that several groups of them are joined from +0 instead), and takes in its terms one
// group at a time:
//   bfloat16  steps of 16 terms, the matrix step of platform sm90 (cpu/sm90_step.h). A chain whose
//             length is no multiple of 16 pads its last step with zeros.
//   float32   one fused multiply-add a term, fmaf(a, b, sum), k ascending.
//
// `slice` cuts k at slice, 2 * slice, ... into chains of their own (the last may be shorter); 0
// means one chain. The chains' results are added in float32 in a fixed binary tree: neighbours in
// pairs, pairs of pairs, and so on, an odd one carried up unchanged: ((s0 + s1) + (s2 + s3)) + s4.
// Hence the partial sum of any aligned block of a power of two of slices is a subtree: shards of a
// tensor-parallel layer, each summed by itself and then joined by the same tree, give the whole's
// bits.
//
// The sum is rounded once to the result's dtype, to nearest even. A NaN has the bits 0x7fffffff
// (float32) or 0x7fc0 (bfloat16), whatever the operands' NaNs were. An empty sum is +0.
//
// Where the operands' dtypes differ (a float32 dy against bf16 weights or activations), dy is
// rounded to the other's dtype first, to nearest even.
//
// The bf16 chain is the chain of H100's tensor cores: every no-split tensor-core algorithm of
// cuBLASLt that we measured gives exactly these bits.

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <optional>

namespace samebits::cpu {

// The CPU kernels behind samebits::linear, linear_dgrad and linear_wgrad_; shapes as in ops.cpp.
// Dtypes float32 or bfloat16, x and weight alike. Throw c10::Error for other dtypes, shapes that do
// not meet, a negative slice, or starts that do not ascend from 0 or pass T. Empty tensors are fine.
// Results are contiguous and owned by the caller; `sum` is written and has to be contiguous.

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, int64_t slice, int64_t dgrad_slice,
                  at::ScalarType out_dtype);
at::Tensor linear_dgrad(const at::Tensor& dy, const at::Tensor& weight, int64_t slice);
void linear_wgrad_(const at::Tensor& dy, const at::Tensor& x,
                   const std::optional<at::Tensor>& starts, const at::Tensor& sum);

}  // namespace samebits::cpu
