#include "harness/dtensor/dtensor.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/clone.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <string>
#include <utility>

#include "harness/dtensor/redistribute_locals.h"

namespace samebits {
namespace {

const DTensorImpl& checked_impl(const at::Tensor& tensor) {
  const DTensorImpl* impl = dtensor_impl(tensor);
  TORCH_CHECK(impl, "found a plain tensor, expected a DTensor (distribute_tensor or from_local ",
              "makes one)");
  return *impl;
}

// A strategy that gives locals of another shape than its placement says is caught here.
void check_locals(const DTensorSpec& spec, c10::SymIntArrayRef sizes, c10::ScalarType dtype,
                  const std::vector<at::Tensor>& locals) {
  const auto& ranks = spec.mesh->hosted_ranks();
  TORCH_CHECK(locals.size() == ranks.size(), "DTensor: found ", locals.size(),
              " local tensors, expected ", ranks.size(), ", one for each hosted rank");
  for (size_t i = 0; i < locals.size(); ++i) {
    const at::Tensor& local = locals[i];
    const std::vector<c10::SymInt> expected = local_sizes(sizes, spec, ranks[i]);
    TORCH_CHECK(local.sym_sizes() == c10::SymIntArrayRef(expected), "DTensor ", sizes, " ",
                spec.placements, ": rank ", ranks[i], " has sizes ", local.sizes(), ", expected ",
                c10::SymIntArrayRef(expected));
    TORCH_CHECK(local.scalar_type() == dtype, "DTensor: rank ", ranks[i], " has dtype ",
                local.scalar_type(), ", expected ", dtype);
    TORCH_CHECK(!is_dtensor(local), "DTensor: the local tensor of rank ", ranks[i],
                " is a DTensor, expected a plain tensor");
  }
}

}  // namespace

bool is_dtensor(const at::Tensor& tensor) { return dtensor_impl(tensor) != nullptr; }

const DTensorSpec& spec_of(const at::Tensor& dtensor) { return checked_impl(dtensor).spec(); }

const std::vector<at::Tensor>& locals_of(const at::Tensor& dtensor) {
  return checked_impl(dtensor).locals();
}

at::Tensor make_dtensor(const DTensorSpec& spec, c10::SymIntArrayRef sizes, c10::ScalarType dtype,
                        std::vector<at::Tensor> locals) {
  const DTensorSpec normalized = spec.normalized(static_cast<int64_t>(sizes.size()));
  TORCH_CHECK(!locals.empty(), "DTensor: found no local tensors");
  check_locals(normalized, sizes, dtype, locals);
  const c10::Device device = locals[0].device();
  const bool contiguous = std::all_of(locals.begin(), locals.end(),
                                      [](const auto& local) { return local.is_contiguous(); });
  return at::detail::make_tensor<DTensorImpl>(normalized, sizes, dtype, device, std::move(locals),
                                              contiguous);
}

at::Tensor make_abstract_dtensor(const DTensorSpec& spec, c10::SymIntArrayRef sizes,
                                 c10::ScalarType dtype, c10::Device device, bool contiguous) {
  return at::detail::make_tensor<DTensorImpl>(spec.normalized(static_cast<int64_t>(sizes.size())),
                                              sizes, dtype, device, std::vector<at::Tensor>(),
                                              contiguous);
}

at::Tensor distribute_tensor(const at::Tensor& whole, const c10::intrusive_ptr<DeviceMesh>& mesh,
                             const Placements& placements) {
  TORCH_CHECK(!is_dtensor(whole), "distribute_tensor: found a DTensor, expected a plain tensor");
  TORCH_CHECK(!placements.has_partial(), "distribute_tensor: found P(sum), expected S(dim) or R");
  const at::AutoDispatchBelowADInplaceOrView guard;
  const DTensorSpec spec = DTensorSpec{mesh, placements}.normalized(whole.dim());
  std::vector<at::Tensor> locals(mesh->hosted_ranks().size(), whole);
  if (spec.placements.is_replicate()) {
    for (at::Tensor& local : locals) local = local.clone(at::MemoryFormat::Contiguous);
  } else {
    locals = redistribute_locals(locals, *mesh, whole.sizes(), Placements::replicate(mesh->dims()),
                                 spec.placements);
  }
  return make_dtensor(spec, whole.sym_sizes(), whole.scalar_type(), std::move(locals));
}

at::Tensor from_local(at::TensorList locals, const c10::intrusive_ptr<DeviceMesh>& mesh,
                      const Placements& placements) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("samebits::from_local", "")
          .typed<at::Tensor(at::TensorList, const c10::intrusive_ptr<DeviceMesh>&,
                            std::string_view)>();
  return op.call(locals, mesh, placements.text());
}

at::Tensor redistribute(const at::Tensor& dtensor, const Placements& placements) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("samebits::redistribute", "")
                             .typed<at::Tensor(const at::Tensor&, std::string_view, bool)>();
  const DTensorSpec& from = spec_of(dtensor);
  bool unpad = true;
  if (from.mesh->gathered_size() != GatheredSize::kNarrow && from.placement().is_shard() &&
      placements.is_replicate()) {
    const c10::SymInt size = dtensor.sym_size(from.placement().dim());
    unpad = (size % from.mesh->size()).sym_ne(0).guard_bool(__FILE__, __LINE__);
  }
  return op.call(dtensor, placements.text(), unpad);
}

std::vector<at::Tensor> to_local(const at::Tensor& dtensor) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("samebits::to_local", "")
                             .typed<std::vector<at::Tensor>(const at::Tensor&)>();
  return op.call(dtensor);
}

at::Tensor full_tensor(const at::Tensor& dtensor) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("samebits::full_tensor", "")
                             .typed<at::Tensor(const at::Tensor&)>();
  return op.call(dtensor);
}

}  // namespace samebits
