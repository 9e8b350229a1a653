#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/SymIntArrayRef.h>

#include <optional>
#include <vector>

// Operators with CPU kernels and shape rules for the tests of capture: each has one trait that a
// tracer must get right. x is float32 [n, m].
namespace samebits::test_ops {

at::Tensor affine(const at::Tensor& x, const at::Tensor& w, double bias);  // x * w + bias
at::Tensor maybe_add(const at::Tensor& x, const std::optional<at::Tensor>& y);
at::Tensor repeat_rows(const at::Tensor& x, c10::SymInt times);   // [n * times, m]
at::Tensor make(c10::SymIntArrayRef size, double value);          // no tensor argument
std::vector<at::Tensor> halves(const at::Tensor& x);              // [n // 2, m], [n - n // 2, m]
at::Tensor join(const std::vector<at::Tensor>& xs);               // a list argument
at::Tensor& accumulate_(at::Tensor& cache, const at::Tensor& x);  // returns what it writes
void store(const at::Tensor& cache, const at::Tensor& x);         // writes, returns nothing
at::Tensor demanding(const at::Tensor& x);                        // its rule asks n >= 2
at::Tensor without_rule(const at::Tensor& x);

// How often a kernel of this library has run in this process.
int kernel_runs();

}  // namespace samebits::test_ops
