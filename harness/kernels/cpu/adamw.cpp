#include "harness/kernels/adamw.h"

#include <ATen/Parallel.h>
#include <torch/library.h>

#include <optional>
#include <type_traits>

#include "harness/dispatch/launch.h"
#include "harness/kernels/cpu/tensors.h"

namespace samebits {
namespace {

void check_state(const char* name, const at::Tensor& x, const at::Tensor& weight,
                 at::ScalarType dtype) {
  check_sizes("adamw_", name, x, weight.sizes());
  check_dtype("adamw_", name, x, dtype);
  TORCH_CHECK(x.is_contiguous(), "adamw_: ", name, " is not contiguous");
}

// What a step reads and writes; W and G are the elements of the weight and of the gradient, S those
// of the moments.
template <typename W, typename G, typename S>
struct Step {
  AdamwSettings settings;
  const float* scale;
  const int64_t* step;
  W* weight;
  float* master;  // may be null
  S* m;
  S* v;
  const G* grad;
  int64_t count;

  AdamwConstants constants() const {
    TORCH_CHECK(*step >= 1, "adamw_: found step ", *step, ", expected 1 or more");
    return adamw_constants(settings, *scale, *step);
  }
};

template <typename W, typename G>
void run(const Step<W, G, float>& call) {
  const AdamwConstants constants = call.constants();
  at::parallel_for(0, call.count, row_grain(1), [&](int64_t begin, int64_t end) {
    float* master = call.master == nullptr ? nullptr : call.master + begin;
    const auto kernel = [] {
      if constexpr (std::is_same_v<G, W>) return row_kernels<W>().adamw;
      if constexpr (!std::is_same_v<G, W>) return row_kernels<W>().adamw_float_grad;
    }();
    kernel(call.weight + begin, master, call.m + begin, call.v + begin, call.grad + begin,
           end - begin, constants);
  });
}

// Weight, moments and gradient in bfloat16, rounded as torch's loop over such tensors rounds.
void run(const Step<Bf16, Bf16, Bf16>& call) {
  const AdamwConstants constants = call.constants();
  at::parallel_for(0, call.count, row_grain(1), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const AdamwBf16 x =
          adamw_bf16({to_float(call.weight[i]), to_float(call.m[i]), to_float(call.v[i])},
                     to_float(call.grad[i]), constants);
      call.weight[i].bits = f32_to_bf16(x.p);
      call.m[i].bits = f32_to_bf16(x.m);
      call.v[i].bits = f32_to_bf16(x.v);
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
  const at::Tensor grad = grad_in.contiguous();
  const auto step = [&](auto weight_element, auto grad_element, auto state_element) {
    using W = decltype(weight_element);
    using G = decltype(grad_element);
    using S = decltype(state_element);
    launch("adamw_",
           [call = Step<W, G, S>{{lr, beta1, beta2, eps, weight_decay},
                                 elements<float>(scale),
                                 elements<int64_t>(step_in),
                                 mutable_elements<W>(weight),
                                 master.has_value() ? mutable_elements<float>(*master) : nullptr,
                                 mutable_elements<S>(m),
                                 mutable_elements<S>(v),
                                 elements<G>(grad),
                                 weight.numel()}] { run(call); });
  };
  if (is_bf16) return step(Bf16{}, Bf16{}, Bf16{});
  with_element("adamw_", weight, [&](auto element) {
    float_grad ? step(element, float{}, float{}) : step(element, element, float{});
  });
}

TORCH_LIBRARY_IMPL(samebits, CPU, m) { m.impl("adamw_", adamw_); }

}  // namespace
}  // namespace samebits
