// The operators that lead into and out of DTensor, with their gradients. Source of the semantics:
// torch/distributed/tensor/_api.py (_FromTorchTensor, _ToTorchTensor) and _redistribute.py
// (Redistribute).

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/clone.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "harness/dispatch/dispatch_keys.h"
#include "harness/dispatch/operator_traits.h"
#include "harness/dtensor/dtensor.h"
#include "harness/dtensor/redistribute_locals.h"
#include "harness/dtensor/seen_by_rank.h"
#include "harness/mesh/shard.h"

namespace samebits {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;
using Mesh = c10::intrusive_ptr<DeviceMesh>;

TORCH_LIBRARY_FRAGMENT(samebits, m) {
  register_device_mesh_class();
  m.def(
      "from_local(Tensor[] locals, __torch__.torch.classes.samebits.DeviceMesh mesh, str "
      "placement) "
      "-> Tensor");
  m.def("redistribute(Tensor x, str placement, bool unpad=True) -> Tensor");
  m.def("to_local(Tensor x) -> Tensor[]");
  m.def("full_tensor(Tensor x) -> Tensor");
  for (const char* name : {"from_local", "redistribute", "to_local", "full_tensor"}) {
    register_traits(std::string("samebits::") + name, {.is_conversion = true});
  }
}

// The gradient of a pending sum is the sum's, on every rank.
Placements gradient_placements(Placements forward) {
  for (int64_t d = 0; d < forward.dims(); ++d) {
    if (forward[d].is_partial()) forward[d] = Placement::replicate();
  }
  return forward;
}

// ---- Below autograd ----------------------------------------------------------------------------

// The same data in tensors of their own, so that autograd never marks the DTensor's locals.
std::vector<at::Tensor> aliases_of(at::TensorList tensors) {
  std::vector<at::Tensor> aliases;
  for (const at::Tensor& tensor : tensors) aliases.push_back(tensor.detach());
  return aliases;
}

const std::vector<at::Tensor>& present_locals(const at::Tensor& x) {
  const auto& locals = locals_of(x);
  TORCH_CHECK(!locals.empty(), "an abstract DTensor has no local tensors");
  return locals;
}

at::Tensor from_local_kernel(at::TensorList locals, const Mesh& mesh, std::string_view text) {
  TORCH_CHECK(locals.size() == mesh->hosted_ranks().size(), "from_local: found ", locals.size(),
              " tensors, expected ", mesh->hosted_ranks().size(), ", one for each hosted rank");
  for (const at::Tensor& local : locals) {
    TORCH_CHECK(local.defined() && !is_dtensor(local),
                "from_local: expected plain tensors, found a DTensor or an undefined one");
  }
  const DTensorSpec spec =
      DTensorSpec{mesh, Placements::from_text(text)}.normalized(locals[0].dim());
  return make_dtensor(spec, sizes_of_parts(locals, spec), locals[0].scalar_type(),
                      aliases_of(locals));
}

// The shards of x, each padded with zeros to the first's size, gathered: the padding stays.
at::Tensor gather_with_padding(const at::Tensor& x) {
  const DTensorSpec& spec = spec_of(x);
  const int64_t dim = spec.placement().dim();
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes[dim] = gathered_with_padding(x.size(dim), spec.mesh->size()).expect_int();
  std::vector<int64_t> shard_sizes = sizes;
  shard_sizes[dim] /= spec.mesh->size();
  std::vector<at::Tensor> shards;
  for (const at::Tensor& local : present_locals(x)) {
    shards.push_back(at::zeros(shard_sizes, local.options()));
    shards.back().narrow(dim, 0, local.size(dim)).copy_(local);
  }
  auto wholes = spec.mesh->communicator().all_gather(shards, dim, sizes[dim]);
  return make_dtensor({spec.mesh, Placement::replicate()}, c10::fromIntArrayRefSlow(sizes),
                      x.scalar_type(), std::move(wholes));
}

at::Tensor redistribute_kernel(const at::Tensor& x, std::string_view text, bool unpad) {
  const DTensorSpec& spec = spec_of(x);
  const DTensorSpec to = DTensorSpec{spec.mesh, Placements::from_text(text)}.normalized(x.dim());
  const bool is_gathered = !unpad && spec.placement().is_shard() && to.placements.is_replicate();
  if (is_gathered) return gather_with_padding(x);
  auto locals =
      redistribute_locals(present_locals(x), *spec.mesh, x.sizes(), spec.placements, to.placements);
  if (to.placements == spec.placements) locals = aliases_of(locals);
  return make_dtensor(to, x.sym_sizes(), x.scalar_type(), std::move(locals));
}

std::vector<at::Tensor> to_local_kernel(const at::Tensor& x) {
  return aliases_of(present_locals(x));
}

at::Tensor full_tensor_kernel(const at::Tensor& x) {
  const DTensorSpec& spec = spec_of(x);
  const auto locals = redistribute_locals(present_locals(x), *spec.mesh, x.sizes(), spec.placements,
                                          Placements::replicate(spec.mesh->dims()));
  const auto rank = static_cast<size_t>(SeenByRank::rank());
  const at::Tensor& seen = locals[rank < locals.size() ? rank : 0];
  return spec.placements.is_replicate() ? seen.clone(at::MemoryFormat::Contiguous) : seen;
}

TORCH_LIBRARY_IMPL(samebits, CompositeExplicitAutograd, m) {
  m.impl("from_local", from_local_kernel);
  // Reached by plain tensors, which spec_of() and locals_of() refuse, and, through the handler, by
  // DTensors.
  m.impl("redistribute", redistribute_kernel);
  m.impl("to_local", to_local_kernel);
  m.impl("full_tensor", full_tensor_kernel);
}

// ---- Autograd ----------------------------------------------------------------------------------
// The formulas call operators, never kernels, so that a mode below autograd sees each.

at::Tensor call_redistribute(const at::Tensor& x, std::string_view text, bool unpad) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("samebits::redistribute", "")
                             .typed<at::Tensor(const at::Tensor&, std::string_view, bool)>();
  return op.call(x, text, unpad);
}

struct FromLocal : Function<FromLocal> {
  static at::Tensor forward(AutogradContext* ctx, at::TensorList locals, const Mesh& mesh,
                            const std::string& text) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    ctx->set_materialize_grads(false);
    ctx->saved_data["count"] = static_cast<int64_t>(locals.size());
    at::Tensor x = from_local(locals, mesh, Placements::from_text(text));
    ctx->saved_data["placements"] = gradient_placements(spec_of(x).placements).text();
    return x;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto count = static_cast<size_t>(ctx->saved_data["count"].toInt());
    variable_list result;
    if (grads[0].defined()) {
      result = to_local(redistribute(
          grads[0], Placements::from_text(ctx->saved_data["placements"].toStringRef())));
    } else {
      result.resize(count);
    }
    result.resize(count + 2);  // mesh and placements have none
    return result;
  }
};

struct Redistribute : Function<Redistribute> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const std::string& text,
                            bool unpad) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    ctx->set_materialize_grads(false);
    ctx->saved_data["placements"] = spec_of(x).placements.text();
    return call_redistribute(x, text, unpad);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    if (!grads[0].defined()) return {{}, {}, {}};
    const auto source = Placements::from_text(ctx->saved_data["placements"].toStringRef());
    const Placements& found = spec_of(grads[0]).placements;
    Placements wanted = gradient_placements(source);
    // As upstream, a gradient that is a pending sum itself is left pending.
    for (int64_t d = 0; d < source.dims(); ++d) {
      if (source[d].is_partial() && found[d].is_partial()) wanted[d] = found[d];
    }
    const bool stays = wanted.has_partial() && wanted == found;
    return {stays ? grads[0] : redistribute(grads[0], wanted), {}, {}};
  }
};

// Wraps what autograd gives for the locals of a DTensor of these sizes; ranks without a gradient
// have a zero one, one rank at least has one.
at::Tensor gradient_from_locals(const DTensorSpec& spec, c10::SymIntArrayRef sizes,
                                variable_list grads) {
  const auto present = std::find_if(grads.begin(), grads.end(),
                                    [](const at::Tensor& grad) { return grad.defined(); });
  for (size_t i = 0; i < grads.size(); ++i) {
    if (grads[i].defined()) continue;
    const auto local = local_sizes(sizes, spec, spec.mesh->hosted_ranks()[i]);
    grads[i] = at::zeros_symint(local, present->options());
  }
  at::Tensor gradient = from_local(grads, spec.mesh, spec.placements);
  // Shards of other processes may be shorter than those of this one.
  TORCH_CHECK(static_cast<int64_t>(grads.size()) == spec.mesh->size() || gradient.sym_sizes() == sizes,
              "the gradient of to_local: found sizes ", gradient.sym_sizes(), ", expected ", sizes);
  return gradient;
}

struct ToLocal : Function<ToLocal> {
  static variable_list forward(AutogradContext* ctx, const at::Tensor& x) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    ctx->set_materialize_grads(false);
    ctx->saved_data["mesh"] = spec_of(x).mesh;
    ctx->saved_data["placements"] = gradient_placements(spec_of(x).placements).text();
    ctx->saved_data["sizes"] = x.sym_sizes();
    return to_local(x);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    bool any = false;
    for (const at::Tensor& grad : grads) any = any || grad.defined();
    if (!any) return {{}};
    return {
        gradient_from_locals({ctx->saved_data["mesh"].toCustomClass<DeviceMesh>(),
                              Placements::from_text(ctx->saved_data["placements"].toStringRef())},
                             ctx->saved_data["sizes"].toSymIntVector(), std::move(grads))};
  }
};

struct FullTensor : Function<FullTensor> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    ctx->set_materialize_grads(false);
    ctx->saved_data["mesh"] = spec_of(x).mesh;
    ctx->saved_data["placements"] = gradient_placements(spec_of(x).placements).text();
    return full_tensor(x);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    if (!grads[0].defined()) return {{}};
    const auto mesh = ctx->saved_data["mesh"].toCustomClass<DeviceMesh>();
    const std::vector<at::Tensor> every(mesh->hosted_ranks().size(), grads[0]);
    return {redistribute(from_local(every, mesh, Placements::replicate(mesh->dims())),
                         Placements::from_text(ctx->saved_data["placements"].toStringRef()))};
  }
};

// Without a gradient to record, the function objects would cost more than the operators.
bool records(const at::Tensor& x) { return at::GradMode::is_enabled() && x.requires_grad(); }

at::Tensor from_local_autograd(at::TensorList locals, const Mesh& mesh, std::string_view text) {
  return FromLocal::apply(locals, mesh, std::string(text));
}

at::Tensor redistribute_autograd(const at::Tensor& x, std::string_view text, bool unpad) {
  if (records(x)) return Redistribute::apply(x, std::string(text), unpad);
  const at::AutoDispatchBelowADInplaceOrView guard;
  return call_redistribute(x, text, unpad);
}

std::vector<at::Tensor> to_local_autograd(const at::Tensor& x) {
  if (records(x)) return ToLocal::apply(x);
  const at::AutoDispatchBelowADInplaceOrView guard;
  return to_local(x);
}

at::Tensor full_tensor_autograd(const at::Tensor& x) {
  if (records(x)) return FullTensor::apply(x);
  const at::AutoDispatchBelowADInplaceOrView guard;
  return full_tensor(x);
}

TORCH_LIBRARY_IMPL(samebits, Autograd, m) {
  m.impl("from_local", from_local_autograd);
  m.impl("redistribute", redistribute_autograd);
  m.impl("to_local", to_local_autograd);
  m.impl("full_tensor", full_tensor_autograd);
}

}  // namespace
}  // namespace samebits
