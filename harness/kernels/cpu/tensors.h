#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <type_traits>

#include "harness/kernels/cpu/math.h"
#include "harness/kernels/cpu/rowwise.h"

// From tensors to the pointers that rowwise.h works on, and the checks that come first.
namespace samebits {

// Calls f with an element of x's dtype: f(Bf16{}) or f(float{}).
template <typename F>
auto with_element(const char* op, const at::Tensor& x, F f) {
  if (x.scalar_type() == at::kBFloat16) return f(Bf16{});
  TORCH_CHECK(x.scalar_type() == at::kFloat, op, ": found dtype ", x.scalar_type(),
              ", expected BFloat16 or Float");
  return f(float{});
}

inline float to_float(Bf16 x) { return bf16_to_f32(x.bits); }
inline float to_float(float x) { return x; }

// The elements of a contiguous tensor; T is Bf16, float, int32_t or int64_t.
template <typename T>
const T* elements(const at::Tensor& x) {
  return static_cast<const T*>(x.const_data_ptr());
}

template <typename T>
T* mutable_elements(const at::Tensor& x) {
  return static_cast<T*>(x.mutable_data_ptr());
}

inline void check_dtype(const char* op, const char* name, const at::Tensor& x,
                        at::ScalarType expected) {
  TORCH_CHECK(x.scalar_type() == expected, op, ": ", name, " has dtype ", x.scalar_type(),
              ", expected ", expected);
}

inline void check_sizes(const char* op, const char* name, const at::Tensor& x,
                        at::IntArrayRef expected) {
  TORCH_CHECK(x.sizes() == expected, op, ": ", name, " has shape ", x.sizes(), ", expected ",
              expected);
}

// Same shape and dtype as `other`.
inline void check_like(const char* op, const char* name, const at::Tensor& x,
                       const at::Tensor& other) {
  check_sizes(op, name, x, other.sizes());
  check_dtype(op, name, x, other.scalar_type());
}

// What a gradient is added to (step_gradient.h): it is written where it lies.
inline void check_sum(const char* op, const at::Tensor& sum, at::IntArrayRef sizes) {
  check_sizes(op, "sum", sum, sizes);
  check_dtype(op, "sum", sum, at::kFloat);
  TORCH_CHECK(sum.is_contiguous(), op, ": sum is not contiguous");
}

// Rows that a thread takes at a time: enough work to be worth a thread, one row at least.
inline int64_t row_grain(int64_t row_length) {
  constexpr int64_t kElements = 16384;
  return std::max<int64_t>(1, kElements / std::max<int64_t>(1, row_length));
}

}  // namespace samebits
