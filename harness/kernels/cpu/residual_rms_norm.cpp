#include "harness/kernels/residual_rms_norm.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <tuple>

#include "harness/dispatch/launch.h"
#include "harness/kernels/cpu/tensors.h"

namespace samebits {
namespace {

std::tuple<at::Tensor, at::Tensor> residual_rms_norm(const at::Tensor& x_in, const at::Tensor& y_in,
                                                     const at::Tensor& weight_in, double eps) {
  const char* op = "residual_rms_norm";
  TORCH_CHECK(x_in.dim() >= 1 && x_in.size(-1) >= 1, op, ": x has shape ", x_in.sizes(),
              ", expected a last dimension of at least 1");
  const int64_t dim = x_in.size(-1);
  check_like(op, "y", y_in, x_in);
  check_sizes(op, "weight", weight_in, {dim});
  check_dtype(op, "weight", weight_in, x_in.scalar_type());
  const at::Tensor x = x_in.contiguous();
  const at::Tensor y = y_in.contiguous();
  const at::Tensor weight = weight_in.contiguous();
  at::Tensor sum = at::empty(x.sizes(), x.options());
  at::Tensor normed = at::empty(x.sizes(), x.options());
  with_element(op, x, [&](auto element) {
    using T = decltype(element);
    launch("residual_rms_norm",
           [add = row_kernels<T>().residual_add, norm = row_kernels<T>().rms_norm,
            x = elements<T>(x), y = elements<T>(y), scale = elements<T>(weight),
            sum = mutable_elements<T>(sum), to = mutable_elements<T>(normed),
            rows = x.numel() / dim, dim, eps = static_cast<float>(eps)] {
             at::parallel_for(0, rows, row_grain(dim), [&](int64_t begin, int64_t end) {
               // A row is normed while its sum is still in the cache.
               for (int64_t at = begin * dim; at < end * dim; at += dim) {
                 add(x + at, y + at, sum + at, dim);
                 norm(sum + at, scale, to + at, /*rows=*/1, dim, eps, /*fused_rounding=*/false);
               }
             });
           });
  });
  return {sum, normed};
}

TORCH_LIBRARY_IMPL(samebits, CPU, m) { m.impl("residual_rms_norm", residual_rms_norm); }

}  // namespace
}  // namespace samebits
