#include "harness/kernels/rms_norm_rope.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "harness/dispatch/launch.h"
#include "harness/kernels/cpu/tensors.h"

namespace samebits {
namespace {

constexpr const char* kOp = "rms_norm_rope";

void check_arguments(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& cos,
                     const at::Tensor& sin, const at::Tensor& positions) {
  TORCH_CHECK(x.dim() == 4 && x.size(-1) >= 2 && x.size(-1) % 2 == 0, kOp, ": x has shape ",
              x.sizes(), ", expected [B, T, heads, an even head size]");
  const int64_t dim = x.size(3);
  check_sizes(kOp, "weight", weight, {dim});
  check_dtype(kOp, "weight", weight, x.scalar_type());
  TORCH_CHECK(cos.dim() == 2 && cos.size(1) * 2 == dim, kOp, ": cos has shape ", cos.sizes(),
              ", expected [positions, ", dim / 2, "]");
  check_dtype(kOp, "cos", cos, at::kFloat);
  check_like(kOp, "sin", sin, cos);
  check_sizes(kOp, "positions", positions, x.sizes().slice(0, 2));
  check_dtype(kOp, "positions", positions, at::kLong);
}

// Where one call's elements are, and how many.
template <typename T>
struct Elements {
  const T* x;
  const T* weight;
  T* normed;
  T* rotated;
  const float* cos;
  const float* sin;
  const int64_t* position;
  int64_t tokens, heads, dim, table;
  float eps;
};

template <typename T>
void norm_and_rotate(const Elements<T>& e, decltype(RowKernels<T>::rms_norm) norm,
                     decltype(RowKernels<T>::rope) rope) {
  for (int64_t t = 0; t < e.tokens; ++t) {
    TORCH_CHECK(e.position[t] >= 0 && e.position[t] < e.table, kOp, ": token ", t, " has position ",
                e.position[t], ", expected one in [0, ", e.table, ")");
  }
  const int64_t length = e.heads * e.dim;
  const int64_t half = e.dim / 2;
  at::parallel_for(0, e.tokens, row_grain(length), [&](int64_t begin, int64_t end) {
    // A token is rotated while its norm is still in the cache.
    for (int64_t t = begin; t < end; ++t) {
      norm(e.x + t * length, e.weight, e.normed + t * length, e.heads, e.dim, e.eps,
           /*fused_rounding=*/false);
      rope(e.normed + t * length, e.cos + e.position[t] * half, e.sin + e.position[t] * half,
           e.rotated + t * length, e.heads, e.dim, /*inverse=*/false);
    }
  });
}

}  // namespace

std::tuple<at::Tensor, at::Tensor> cpu::rms_norm_rope(const at::Tensor& x_in,
                                                      const at::Tensor& weight_in, double eps,
                                                      const at::Tensor& cos_in,
                                                      const at::Tensor& sin_in,
                                                      const at::Tensor& positions_in) {
  check_arguments(x_in, weight_in, cos_in, sin_in, positions_in);
  const at::Tensor x = x_in.contiguous();
  const at::Tensor weight = weight_in.contiguous();
  const at::Tensor cos = cos_in.contiguous();
  const at::Tensor sin = sin_in.contiguous();
  const at::Tensor positions = positions_in.contiguous();
  at::Tensor normed = at::empty(x.sizes(), x.options());
  at::Tensor rotated = at::empty(x.sizes(), x.options());
  with_element(kOp, x, [&](auto element) {
    using T = decltype(element);
    const Elements<T> e{elements<T>(x),
                        elements<T>(weight),
                        mutable_elements<T>(normed),
                        mutable_elements<T>(rotated),
                        elements<float>(cos),
                        elements<float>(sin),
                        elements<int64_t>(positions),
                        x.size(0) * x.size(1),
                        x.size(2),
                        x.size(3),
                        cos.size(0),
                        static_cast<float>(eps)};
    launch(kOp, [e, norm = row_kernels<T>().rms_norm, rope = row_kernels<T>().rope] {
      norm_and_rotate<T>(e, norm, rope);
    });
  });
  return {normed, rotated};
}

TORCH_LIBRARY_IMPL(samebits, CPU, m) { m.impl("rms_norm_rope", cpu::rms_norm_rope); }

}  // namespace samebits
