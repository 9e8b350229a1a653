#include "harness/kernels/silu_mul.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "harness/dispatch/launch.h"
#include "harness/kernels/cpu/block.h"
#include "harness/kernels/cpu/tensors.h"

namespace samebits {
namespace {

std::tuple<at::Tensor, at::Tensor> silu_mul_backward(const at::Tensor& dy_in,
                                                     const at::Tensor& gate_in,
                                                     const at::Tensor& up_in) {
  check_like("silu_mul_backward", "dy", dy_in, gate_in);
  check_like("silu_mul_backward", "up", up_in, gate_in);
  const at::Tensor dy = dy_in.contiguous();
  const at::Tensor gate = gate_in.contiguous();
  const at::Tensor up = up_in.contiguous();
  at::Tensor dgate = at::empty(gate.sizes(), gate.options());
  at::Tensor dup = at::empty(gate.sizes(), gate.options());
  with_element("silu_mul_backward", gate, [&](auto element) {
    using T = decltype(element);
    launch("silu_mul_backward", [kernel = row_kernels<T>().silu_mul_backward, dy = elements<T>(dy),
                                 gate = elements<T>(gate), up = elements<T>(up),
                                 dgate = mutable_elements<T>(dgate), dup = mutable_elements<T>(dup),
                                 count = gate.numel()] {
      at::parallel_for(0, count, row_grain(1), [&](int64_t begin, int64_t end) {
        kernel(dy + begin, gate + begin, up + begin, dgate + begin, dup + begin, end - begin);
      });
    });
  });
  return {dgate, dup};
}

}  // namespace

at::Tensor cpu::silu_mul(const at::Tensor& gate_in, const at::Tensor& up_in, bool fused_rounding) {
  check_like("silu_mul", "up", up_in, gate_in);
  const at::Tensor gate = gate_in.contiguous();
  const at::Tensor up = up_in.contiguous();
  at::Tensor y = at::empty(gate.sizes(), gate.options());
  with_element("silu_mul", gate, [&](auto element) {
    using T = decltype(element);
    launch("silu_mul",
           [kernel = row_kernels<T>().silu_mul, gate = elements<T>(gate), up = elements<T>(up),
            to = mutable_elements<T>(y), count = gate.numel(), fused_rounding] {
             at::parallel_for(0, count, row_grain(1), [&](int64_t begin, int64_t end) {
               kernel(gate + begin, up + begin, to + begin, end - begin, fused_rounding);
             });
           });
  });
  return y;
}

TORCH_LIBRARY_IMPL(samebits, CPU, m) {
  m.impl("silu_mul", cpu::silu_mul);
  m.impl("silu_mul_backward", silu_mul_backward);
}

}  // namespace samebits
