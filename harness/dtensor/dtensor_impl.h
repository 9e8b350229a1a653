#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/SymIntArrayRef.h>
#include <c10/core/TensorImpl.h>

#include <string>
#include <vector>

#include "harness/dtensor/placements.h"
#include "harness/mesh/device_mesh.h"

namespace samebits {

// Where a DTensor's value lies.
struct DTensorSpec {
  c10::intrusive_ptr<DeviceMesh> mesh;
  Placements placements;  // one for each dimension of the mesh

  // Of a mesh of one dimension; throws c10::Error on another.
  const Placement& placement() const { return placements.only(); }

  // With dimensions counted from the front, of a tensor of `rank` dimensions. Throws c10::Error
  // where there is no mesh, another number of placements than its dimensions, or no such dimension.
  DTensorSpec normalized(int64_t rank) const;
};

// One tensor laid over a mesh. Its sizes, strides, dtype and device are those of the whole tensor,
// contiguous; the data lies in one plain local tensor for each hosted rank. It has no storage:
// access to data throws. Its dispatch keys are kDTensorDispatchKey, the backend's and autograd's,
// so operators on it reach the handler (handler.h) below autograd.
//
// Without locals it is abstract: it stands for a DTensor of which nothing is computed (capture/).
//
// Source of the design: torch.distributed.tensor's DTensor, a wrapper without storage.
class DTensorImpl final : public c10::TensorImpl {
 public:
  // `contiguous`: what is_contiguous() answers, so that contiguous() reaches the locals where one
  // of them is not. `sizes` may be symbolic if there are no locals.
  DTensorImpl(DTensorSpec spec, c10::SymIntArrayRef sizes, c10::ScalarType dtype,
              c10::Device device, std::vector<at::Tensor> locals, bool contiguous);

  const DTensorSpec& spec() const { return spec_; }
  const std::vector<at::Tensor>& locals() const { return locals_; }

  c10::SymBool sym_is_contiguous_custom(at::MemoryFormat format) const override;

  // detach(), saved variables and set_data copy the wrapper and share the locals.
  c10::intrusive_ptr<c10::TensorImpl> shallow_copy_and_detach(
      const c10::VariableVersion& version_counter,
      bool allow_tensor_metadata_change) const override;
  c10::intrusive_ptr<c10::TensorImpl> shallow_copy_and_detach(
      c10::VariableVersion&& version_counter, bool allow_tensor_metadata_change) const override;
  void shallow_copy_from(const c10::intrusive_ptr<c10::TensorImpl>& impl) override;

  const char* tensorimpl_type_name() const override { return "samebits::DTensorImpl"; }

 private:
  DTensorSpec spec_;
  std::vector<at::Tensor> locals_;  // one for each hosted rank, or none
  bool contiguous_;
};

// The implementation of a DTensor, or null for any other tensor.
const DTensorImpl* dtensor_impl(const at::Tensor& tensor);

}  // namespace samebits
