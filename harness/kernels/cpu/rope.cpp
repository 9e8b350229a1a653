#include "harness/kernels/rope.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "harness/dispatch/launch.h"
#include "harness/kernels/cpu/tensors.h"

namespace samebits {
namespace {

void check_positions(const int64_t* position, int64_t tokens, int64_t table) {
  for (int64_t t = 0; t < tokens; ++t) {
    TORCH_CHECK(position[t] >= 0 && position[t] < table, "rope: token ", t, " has position ",
                position[t], ", expected one in [0, ", table, ")");
  }
}

at::Tensor rope(const at::Tensor& x_in, const at::Tensor& cos_in, const at::Tensor& sin_in,
                const at::Tensor& positions_in, bool inverse) {
  TORCH_CHECK(x_in.dim() == 4 && x_in.size(-1) % 2 == 0, "rope: x has shape ", x_in.sizes(),
              ", expected [B, T, heads, an even head size]");
  const int64_t tokens = x_in.size(0) * x_in.size(1);
  const int64_t heads = x_in.size(2);
  const int64_t dim = x_in.size(3);
  TORCH_CHECK(cos_in.dim() == 2 && cos_in.size(1) * 2 == dim, "rope: cos has shape ",
              cos_in.sizes(), ", expected [positions, ", dim / 2, "]");
  check_dtype("rope", "cos", cos_in, at::kFloat);
  check_like("rope", "sin", sin_in, cos_in);
  check_sizes("rope", "positions", positions_in, x_in.sizes().slice(0, 2));
  check_dtype("rope", "positions", positions_in, at::kLong);
  const at::Tensor x = x_in.contiguous();
  const at::Tensor cos = cos_in.contiguous();
  const at::Tensor sin = sin_in.contiguous();
  const at::Tensor positions = positions_in.contiguous();
  at::Tensor y = at::empty(x.sizes(), x.options());
  with_element("rope", x, [&](auto element) {
    using T = decltype(element);
    launch("rope", [kernel = row_kernels<T>().rope, from = elements<T>(x),
                    cos = elements<float>(cos), sin = elements<float>(sin), table = cos.size(0),
                    position = elements<int64_t>(positions), to = mutable_elements<T>(y), tokens,
                    heads, dim, inverse] {
      check_positions(position, tokens, table);
      const int64_t length = heads * dim;
      const int64_t half = dim / 2;
      at::parallel_for(0, tokens, row_grain(length), [&](int64_t begin, int64_t end) {
        for (int64_t t = begin; t < end; ++t) {
          kernel(from + t * length, cos + position[t] * half, sin + position[t] * half,
                 to + t * length, heads, dim, inverse);
        }
      });
    });
  });
  return y;
}

TORCH_LIBRARY_IMPL(samebits, CPU, m) { m.impl("rope", rope); }

}  // namespace
}  // namespace samebits
