#include "harness/kernels/fake_tensor.h"

#include <c10/core/TensorImpl.h>
#include <c10/util/Exception.h>

#include <vector>

namespace samebits {
namespace {

constexpr const char* kNoData =
    "a tensor without data: the program reads values while it is traced. A captured program may "
    "use "
    "sizes and operators only; a value that steers it must be an argument";

class FakeTensorImpl final : public c10::TensorImpl {
 public:
  FakeTensorImpl(c10::SymIntArrayRef sizes, c10::ScalarType dtype, c10::Device device,
                 bool contiguous)
      : TensorImpl(
            c10::DispatchKeySet(device.is_cuda() ? c10::DispatchKey::CUDA : c10::DispatchKey::CPU),
            c10::scalarTypeToTypeMeta(dtype), device),
        contiguous_(contiguous) {
    std::vector<c10::SymInt> strides(sizes.size(), 1);
    for (size_t i = sizes.size(); i-- > 1;) strides[i - 1] = strides[i] * sizes[i];
    set_custom_sizes_strides(SizesStridesPolicy::CustomStrides);
    set_sizes_and_strides(sizes, strides, c10::SymInt(0));
    release_storage_and_set_meta_custom_data_ptr_error_msg_(kNoData);
  }

  c10::IntArrayRef sizes_custom() const override {
    TORCH_CHECK(!has_symbolic_sizes_strides_,
                "sizes() of a tensor with symbolic sizes is asked while tracing; use sym_sizes()");
    return sizes_default();
  }
  c10::SymBool sym_is_contiguous_custom(at::MemoryFormat format) const override {
    return contiguous_ && format == at::MemoryFormat::Contiguous;
  }
  c10::SymBool sym_is_non_overlapping_and_dense_custom() const override { return contiguous_; }
  bool is_strides_like_custom(at::MemoryFormat) const override { return false; }

  // Autograd copies what it saves. A copy has the backend meta of the tensor, by which the tracer
  // knows it.
  c10::intrusive_ptr<TensorImpl> shallow_copy_and_detach(
      const c10::VariableVersion& version_counter,
      bool allow_tensor_metadata_change) const override {
    auto copy = c10::make_intrusive<FakeTensorImpl>(sym_sizes(), dtype().toScalarType(), device(),
                                                    contiguous_);
    copy_tensor_metadata(this, copy.get(), version_counter, allow_tensor_metadata_change);
    return copy;
  }
  c10::intrusive_ptr<TensorImpl> shallow_copy_and_detach(
      c10::VariableVersion&& version_counter, bool allow_tensor_metadata_change) const override {
    auto copy = c10::make_intrusive<FakeTensorImpl>(sym_sizes(), dtype().toScalarType(), device(),
                                                    contiguous_);
    copy_tensor_metadata(this, copy.get(), std::move(version_counter),
                         allow_tensor_metadata_change);
    return copy;
  }

  const char* tensorimpl_type_name() const override { return "samebits::FakeTensorImpl"; }

 private:
  bool contiguous_;
};

}  // namespace

at::Tensor make_fake_tensor(c10::SymIntArrayRef sizes, c10::ScalarType dtype, c10::Device device,
                            bool contiguous) {
  return at::Tensor(c10::make_intrusive<FakeTensorImpl>(sizes, dtype, device, contiguous));
}

c10::Device device_of(c10::ArrayRef<c10::IValue> args) {
  for (const c10::IValue& arg : args) {
    if (arg.isTensor() && arg.toTensor().defined()) return arg.toTensor().device();
    if (arg.isTensorList() && !arg.toTensorList().empty()) return arg.toTensorVector()[0].device();
  }
  return c10::kCPU;
}

bool is_fake_tensor(const at::Tensor& tensor) {
  return dynamic_cast<const FakeTensorImpl*>(tensor.unsafeGetTensorImpl()) != nullptr;
}

}  // namespace samebits
