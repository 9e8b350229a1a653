#include "harness/kernels/adamw.h"

#include <ATen/Parallel.h>
#include <torch/library.h>

#include <optional>

#include "harness/kernels/cpu/tensors.h"

namespace samebits {
namespace {

void check_state(const char* name, const at::Tensor& x, const at::Tensor& weight,
                 at::ScalarType dtype) {
  check_sizes("adamw_", name, x, weight.sizes());
  check_dtype("adamw_", name, x, dtype);
  TORCH_CHECK(x.is_contiguous(), "adamw_: ", name, " is not contiguous");
}

// Weight, moments and gradient in bfloat16, rounded as torch's loop over such tensors rounds.
void step_bf16(const at::Tensor& weight, const at::Tensor& m, const at::Tensor& v,
               const at::Tensor& grad, const AdamwConstants& constants) {
  Bf16* weight_data = mutable_elements<Bf16>(weight);
  Bf16* m_data = mutable_elements<Bf16>(m);
  Bf16* v_data = mutable_elements<Bf16>(v);
  const Bf16* grad_data = elements<Bf16>(grad);
  at::parallel_for(0, weight.numel(), row_grain(1), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const AdamwBf16 x =
          adamw_bf16({to_float(weight_data[i]), to_float(m_data[i]), to_float(v_data[i])},
                     to_float(grad_data[i]), constants);
      weight_data[i].bits = f32_to_bf16(x.p);
      m_data[i].bits = f32_to_bf16(x.m);
      v_data[i].bits = f32_to_bf16(x.v);
    }
  });
}

void adamw_(const at::Tensor& weight, const std::optional<at::Tensor>& master, const at::Tensor& m,
            const at::Tensor& v, const at::Tensor& grad_in, const at::Tensor& scale,
            const at::Tensor& step_in, double lr, double beta1, double beta2, double eps,
            double weight_decay) {
  TORCH_CHECK(weight.is_contiguous(), "adamw_: weight is not contiguous");
  const bool is_bf16 = m.scalar_type() == at::kBFloat16;
  check_state("m", m, weight, is_bf16 ? at::kBFloat16 : at::kFloat);
  check_state("v", v, weight, m.scalar_type());
  if (master.has_value()) check_state("master", *master, weight, at::kFloat);
  check_sizes("adamw_", "grad", grad_in, weight.sizes());
  const bool float_grad = grad_in.scalar_type() == at::kFloat;
  TORCH_CHECK(!is_bf16 || (weight.scalar_type() == at::kBFloat16 && !float_grad && !master),
              "adamw_: moments in BFloat16 beside weight ", weight.scalar_type(), ", grad ",
              grad_in.scalar_type(), master ? " and a master" : "",
              ", expected BFloat16 for both and no master");
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
  if (is_bf16) return step_bf16(weight, m, v, grad, constants);
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
