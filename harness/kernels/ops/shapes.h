#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/SymBool.h>

#include <utility>
#include <vector>

#include "harness/kernels/shape_rule.h"

// What shape rules of the contract list share. Dimensions that must agree are compared once, as
// SymBool, so that equal symbolic expressions add no guard; nothing else about a size is asked.
namespace samebits {

using Args = c10::ArrayRef<c10::IValue>;
using Metas = std::vector<TensorMeta>;

inline std::vector<c10::SymInt> sym_sizes_of(const at::Tensor& x) { return x.sym_sizes().vec(); }

inline TensorMeta like(const at::Tensor& x) { return {sym_sizes_of(x), x.scalar_type()}; }

// The sizes of `x` with `last` in the place of its last one.
inline std::vector<c10::SymInt> with_last(const at::Tensor& x, c10::SymInt last) {
  auto sizes = sym_sizes_of(x);
  TORCH_CHECK(!sizes.empty(), "expected at least one dimension, found a scalar");
  sizes.back() = std::move(last);
  return sizes;
}

inline void check_rank(const char* op, const char* name, const at::Tensor& x, int64_t rank) {
  TORCH_CHECK(x.dim() == rank, op, ": ", name, " has ", x.dim(), " dimensions, expected ", rank);
}

inline void check_at_least_1d(const char* op, const char* name, const at::Tensor& x) {
  TORCH_CHECK(x.dim() >= 1, op, ": ", name, " is a scalar, expected at least one dimension");
}

inline void check_equal(const char* op, const char* what, const c10::SymInt& found,
                        const c10::SymInt& expected) {
  TORCH_SYM_CHECK(found.sym_eq(expected), op, ": ", what, " is ", found, ", expected ", expected);
}

inline void check_same_sizes(const char* op, const char* what, c10::SymIntArrayRef found,
                             c10::SymIntArrayRef expected) {
  TORCH_CHECK(found.size() == expected.size(), op, ": ", what, " has ", found.size(),
              " dimensions, expected ", expected.size());
  for (size_t i = 0; i < found.size(); ++i) check_equal(op, what, found[i], expected[i]);
}

// Leading sizes, all but the last one.
inline c10::SymIntArrayRef leading(const at::Tensor& x) {
  return x.sym_sizes().slice(0, static_cast<size_t>(x.dim()) - 1);
}

// What a gradient is added to (step_gradient.h).
inline void check_sum(const char* op, const c10::IValue& sum, c10::SymIntArrayRef sizes) {
  check_same_sizes(op, "a size of sum", sum.toTensor().sym_sizes(), sizes);
  TORCH_CHECK(sum.toTensor().scalar_type() == c10::kFloat, op, ": sum has dtype ",
              sum.toTensor().scalar_type(), ", expected Float");
}

// What samebits::linear gives of these, as one chain.
inline TensorMeta product_of(const c10::IValue& x, const c10::IValue& weight,
                             const c10::IValue& out_dtype) {
  const c10::IValue args[] = {x, weight, /*slice=*/0, /*dgrad_slice=*/0, out_dtype};
  return infer_shapes("samebits::linear", args)[0];
}

}  // namespace samebits
