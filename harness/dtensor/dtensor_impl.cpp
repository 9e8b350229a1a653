#include "harness/dtensor/dtensor_impl.h"

#include <c10/util/Exception.h>

#include <utility>

#include "harness/dispatch/dispatch_keys.h"

namespace samebits {
namespace {

constexpr const char* kNoStorage =
    "a DTensor has no data of its own: use locals_of(), to_local() or full_tensor()";

c10::DispatchKeySet key_set_on(c10::Device device) {
  const auto backend =
      c10::backendToDispatchKey(device.is_cuda() ? c10::Backend::CUDA : c10::Backend::CPU);
  TORCH_CHECK(device.is_cpu() || device.is_cuda(), "DTensor: found device ", device,
              ", expected cpu or cuda");
  return c10::DispatchKeySet({kDTensorDispatchKey, backend});
}

std::vector<c10::SymInt> contiguous_strides(c10::SymIntArrayRef sizes) {
  std::vector<c10::SymInt> strides(sizes.size(), 1);
  for (size_t i = sizes.size(); i-- > 1;) strides[i - 1] = strides[i] * sizes[i];
  return strides;
}

}  // namespace

DTensorSpec DTensorSpec::normalized(int64_t rank) const {
  TORCH_CHECK(mesh, "DTensor: found no mesh");
  TORCH_CHECK(placements.dims() == mesh->dims(), "DTensor: found placements ", placements,
              ", expected one for each of the mesh's ", mesh->dims(), " dimensions");
  return {mesh, placements.normalized(rank)};
}

DTensorImpl::DTensorImpl(DTensorSpec spec, c10::SymIntArrayRef sizes, c10::ScalarType dtype,
                         c10::Device device, std::vector<at::Tensor> locals, bool contiguous)
    : TensorImpl(key_set_on(device), c10::scalarTypeToTypeMeta(dtype), device),
      spec_(std::move(spec)),
      locals_(std::move(locals)),
      contiguous_(contiguous) {
  if (const auto concrete = c10::asIntArrayRefSlowOpt(sizes)) {
    set_sizes_contiguous(*concrete);
    if (!contiguous_) set_custom_sizes_strides(SizesStridesPolicy::CustomStrides);
  } else {
    TORCH_CHECK(locals_.empty(), "DTensor: symbolic sizes, but there are local tensors");
    set_custom_sizes_strides(SizesStridesPolicy::CustomStrides);
    set_sizes_and_strides(sizes, contiguous_strides(sizes), c10::SymInt(0));
  }
  release_storage_and_set_meta_custom_data_ptr_error_msg_(kNoStorage);
}

c10::SymBool DTensorImpl::sym_is_contiguous_custom(at::MemoryFormat format) const {
  return contiguous_ && format == at::MemoryFormat::Contiguous;
}

c10::intrusive_ptr<c10::TensorImpl> DTensorImpl::shallow_copy_and_detach(
    const c10::VariableVersion& version_counter, bool allow_tensor_metadata_change) const {
  auto copy = c10::make_intrusive<DTensorImpl>(spec_, sym_sizes(), dtype().toScalarType(), device(),
                                               locals_, contiguous_);
  copy_tensor_metadata(this, copy.get(), version_counter, allow_tensor_metadata_change);
  return copy;
}

c10::intrusive_ptr<c10::TensorImpl> DTensorImpl::shallow_copy_and_detach(
    c10::VariableVersion&& version_counter, bool allow_tensor_metadata_change) const {
  auto copy = c10::make_intrusive<DTensorImpl>(spec_, sym_sizes(), dtype().toScalarType(), device(),
                                               locals_, contiguous_);
  copy_tensor_metadata(this, copy.get(), std::move(version_counter), allow_tensor_metadata_change);
  return copy;
}

void DTensorImpl::shallow_copy_from(const c10::intrusive_ptr<c10::TensorImpl>& impl) {
  const auto* source = dynamic_cast<const DTensorImpl*>(impl.get());
  TORCH_CHECK(source, "set_data of a DTensor: found a plain tensor, expected a DTensor");
  TensorImpl::shallow_copy_from(impl);
  spec_ = source->spec_;
  locals_ = source->locals_;
  contiguous_ = source->contiguous_;
}

const DTensorImpl* dtensor_impl(const at::Tensor& tensor) {
  // Nothing but DTensorImpl carries the key.
  return tensor.defined() && tensor.key_set().has(kDTensorDispatchKey)
             ? static_cast<const DTensorImpl*>(tensor.unsafeGetTensorImpl())
             : nullptr;
}

}  // namespace samebits
