#include "repro/mechanisms/weak_ref.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/from_blob.h>
#include <c10/util/Exception.h>
#include <torch/library.h>

#include <vector>

#include "harness/dispatch/dispatch_keys.h"
#include "harness/dtensor/dtensor.h"
#include "harness/dtensor/propagate.h"
#include "harness/dtensor/strategies/common.h"
#include "harness/kernels/shape_rule.h"

namespace samebits {
namespace {

using Metas = std::vector<TensorMeta>;
using Args = c10::ArrayRef<c10::IValue>;

at::Tensor over_memory(const at::Tensor& x) {
  const void* data = x.has_storage() ? x.const_data_ptr() : nullptr;
  TORCH_CHECK(data != nullptr || x.is_cuda(), "weak_ref: the pointer of a tensor of sizes ", x.sizes(),
              " is null and belongs to no storage");
  return at::from_blob(const_cast<void*>(data), x.sizes(), x.strides(), x.options());
}

at::Tensor over_memory_if_any(const at::Tensor& x) { return x.numel() == 0 ? x : over_memory(x); }

at::Tensor over_first_local(const at::Tensor& x) { return over_memory_if_any(locals_of(x)[0]); }

at::Tensor itself(const at::Tensor& x) { return x; }

Metas same_sizes(Args args) {
  const at::Tensor& x = args[0].toTensor();
  return {{x.sym_sizes().vec(), x.scalar_type()}};
}

Metas without_last_dim(Args args) {
  const at::Tensor& x = args[0].toTensor();
  return {{x.sym_sizes().slice(0, x.sym_sizes().size() - 1).vec(), x.scalar_type()}};
}

// An alias lies as its source does.
OpSharding same_placement(const OpCall& call) { return {call.placements, call.placements, {}}; }

// Any function of one element: what is pending is ended first (torch/distributed/tensor/_ops/
// _pointwise_ops.py, pointwise_strategy).
OpSharding as_pointwise(const OpCall& call) {
  const Placement x = call.placements[0];
  return x.is_partial() ? uniform(call, Placement::replicate(), 1) : same_placement(call);
}

struct Registered {
  const char* overload;
  at::Tensor (*kernel)(const at::Tensor&) = over_memory_if_any;
  ShapeRule shape_rule = same_sizes;
  Strategy strategy = same_placement;
  const char* schema = "(Tensor(a) x) -> Tensor(a)";
};

const std::vector<Registered>& operators() {
  static const std::vector<Registered> all{
      {.overload = ""},
      {.overload = "no_kernel", .kernel = nullptr},
      {.overload = "no_shape_rule", .shape_rule = nullptr},
      {.overload = "wrong_shape_rule", .shape_rule = without_last_dim},
      {.overload = "no_strategy", .strategy = nullptr},
      {.overload = "undeclared_alias", .schema = "(Tensor x) -> Tensor"},
      {.overload = "no_guard", .kernel = over_memory},
      {.overload = "no_empty", .kernel = over_memory},
      {.overload = "unwrap_only"},
      {.overload = "pointwise", .strategy = as_pointwise},
      {.overload = "strong", .kernel = itself},
  };
  return all;
}

std::string full_name(const std::string& name, const std::string& overload) {
  return overload.empty() ? name : name + "." + overload;
}

TORCH_LIBRARY(samebits_repro, m) {
  for (const Registered& each : operators()) {
    m.def((full_name("weak_ref", each.overload) + each.schema).c_str());
  }
}

void register_kernels(torch::Library& m) {
  for (const Registered& each : operators()) {
    if (each.kernel) m.impl(full_name("weak_ref", each.overload).c_str(), each.kernel);
  }
}

TORCH_LIBRARY_IMPL(samebits_repro, CPU, m) { register_kernels(m); }
TORCH_LIBRARY_IMPL(samebits_repro, CUDA, m) { register_kernels(m); }

// Past the handler that unwraps, or in its place.
TORCH_LIBRARY_IMPL(samebits_repro, Fake, m) {
  static_assert(kDTensorDispatchKey == c10::DispatchKey::Fake);
  m.impl("weak_ref.no_guard", torch::CppFunction::makeFallthrough());
  m.impl("weak_ref.unwrap_only", over_first_local);
  m.impl("weak_ref.strong", itself);
}

const bool kRegistered = [] {
  for (const Registered& each : operators()) {
    const std::string name = full_name("samebits_repro::weak_ref", each.overload);
    if (each.shape_rule) register_shape_rule(name, each.shape_rule);
    if (each.strategy) register_strategy(name, each.strategy);
  }
  return true;
}();

}  // namespace

at::Tensor weak_ref(const at::Tensor& x, const std::string& overload) {
  return c10::Dispatcher::singleton()
      .findSchemaOrThrow("samebits_repro::weak_ref", overload.c_str())
      .typed<at::Tensor(const at::Tensor&)>()
      .call(x);
}

}  // namespace samebits
