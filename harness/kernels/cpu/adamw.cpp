#include "harness/kernels/adamw.h"

#include <ATen/Parallel.h>
#include <torch/library.h>

#include <optional>

#include "harness/kernels/cpu/tensors.h"

namespace samebits {
namespace {

void check_state(const char* name, const at::Tensor& x, const at::Tensor& weight) {
  check_sizes("adamw_", name, x, weight.sizes());
  check_dtype("adamw_", name, x, at::kFloat);
  TORCH_CHECK(x.is_contiguous(), "adamw_: ", name, " is not contiguous");
}

void adamw_(const at::Tensor& weight, const std::optional<at::Tensor>& master, const at::Tensor& m,
            const at::Tensor& v, const at::Tensor& grad_in, const at::Tensor& scale,
            const at::Tensor& step_in, double lr, double beta1, double beta2, double eps,
            double weight_decay) {
  TORCH_CHECK(weight.is_contiguous(), "adamw_: weight is not contiguous");
  check_state("m", m, weight);
  check_state("v", v, weight);
  if (master.has_value()) check_state("master", *master, weight);
  check_sizes("adamw_", "grad", grad_in, weight.sizes());
  const bool float_grad = grad_in.scalar_type() == at::kFloat;
  if (!float_grad) check_dtype("adamw_", "grad", grad_in, weight.scalar_type());
  check_sizes("adamw_", "scale", scale, {});
  check_dtype("adamw_", "scale", scale, at::kFloat);
  check_sizes("adamw_", "step", step_in, {});
  check_dtype("adamw_", "step", step_in, at::kLong);
  const int64_t step = *elements<int64_t>(step_in);
  TORCH_CHECK(step >= 1, "adamw_: found step ", step, ", expected 1 or more");
  const AdamwConstants constants =
      adamw_constants({lr, beta1, beta2, eps, weight_decay}, *elements<float>(scale), step);
  const at::Tensor grad = grad_in.contiguous();
  float* master_data = master.has_value() ? mutable_elements<float>(*master) : nullptr;
  float* m_data = mutable_elements<float>(m);
  float* v_data = mutable_elements<float>(v);
  with_element("adamw_", weight, [&](auto element) {
    using T = decltype(element);
    const auto& kernels = row_kernels<T>();
    T* weight_data = mutable_elements<T>(weight);
    at::parallel_for(0, weight.numel(), row_grain(1), [&](int64_t begin, int64_t end) {
      float* master_begin = master_data == nullptr ? nullptr : master_data + begin;
      if (float_grad) {
        kernels.adamw_float_grad(weight_data + begin, master_begin, m_data + begin, v_data + begin,
                                 elements<float>(grad) + begin, end - begin, constants);
      } else {
        kernels.adamw(weight_data + begin, master_begin, m_data + begin, v_data + begin,
                      elements<T>(grad) + begin, end - begin, constants);
      }
    });
  });
}

TORCH_LIBRARY_IMPL(samebits, CPU, m) { m.impl("adamw_", adamw_); }

}  // namespace
}  // namespace samebits
