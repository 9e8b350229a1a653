#include "harness/workload/state.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "harness/base/error.h"
#include "harness/dtensor/dtensor.h"

namespace samebits {
namespace {

std::string text_of(const at::Tensor& tensor) {
  return fmt::format("{} [{}]", c10::toString(tensor.scalar_type()),
                     fmt::join(tensor.sizes(), ", "));
}

}  // namespace

at::Tensor state_of(const TensorParallel& parallel, const at::Tensor& value) {
  const c10::NoGradGuard no_grad;
  return parallel.to_plain(value).detach().to(at::kCPU).clone(at::MemoryFormat::Contiguous);
}

void load_state(const State& state, const std::string& name, const TensorParallel& parallel,
                const at::Tensor& into) {
  const c10::NoGradGuard no_grad;
  const auto at = state.find(name);
  if (at == state.end()) throw InputError("a checkpoint", "no " + name, "a tensor of that name");
  const at::Tensor& value = at->second;
  if (value.sizes() != into.sizes() || value.scalar_type() != into.scalar_type()) {
    throw InputError("a checkpoint: " + name, text_of(value), text_of(into));
  }
  if (!is_dtensor(into)) {
    into.detach().copy_(value);
    return;
  }
  const at::Tensor laid =
      distribute_tensor(value.to(into.device()), parallel.mesh(), spec_of(into).placements);
  const auto& locals = locals_of(into);
  for (size_t i = 0; i < locals.size(); ++i) locals[i].copy_(locals_of(laid)[i]);
}

void add_parameters(State& state, const std::string& prefix, const Decoder& model) {
  for (const Parameter& parameter : model.parameters()) {
    state[prefix + "." + parameter.name] = state_of(model.parallel(), parameter.tensor);
  }
}

void load_parameters(const State& state, const std::string& prefix, const Decoder& model) {
  for (const Parameter& parameter : model.parameters()) {
    load_state(state, prefix + "." + parameter.name, model.parallel(), parameter.tensor);
  }
}

}  // namespace samebits
