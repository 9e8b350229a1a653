#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>
#include <c10/core/SymIntArrayRef.h>

#include <string>
#include <vector>

namespace samebits {

// What a tracer has to know of tensors that are laid over a mesh. dtensor/ implements it and
// capture/ asks it, so that neither includes the other; between the two stands the dispatcher.
class DistributedTensors {
 public:
  virtual ~DistributedTensors() = default;

  virtual bool contains(const at::Tensor& tensor) const = 0;
  // The following three take a tensor that is contained. "S(2)", "R":
  virtual std::string placements_text(const at::Tensor& tensor) const = 0;
  // The plain tensors of the ranks of this process; none where the tensor is abstract.
  virtual const std::vector<at::Tensor>& locals_of(const at::Tensor& tensor) const = 0;
  // A tensor without data of that value's sizes elsewhere.
  virtual at::Tensor make_abstract_like(const at::Tensor& example,
                                        c10::SymIntArrayRef sizes) const = 0;

  // The mesh that a value is, or is laid over; None where it has none.
  virtual c10::IValue mesh_of(const c10::IValue& value) const = 0;
  // A tensor without data, contiguous, over such a mesh.
  virtual at::Tensor make_abstract(const c10::IValue& mesh, const std::string& placements,
                                   c10::SymIntArrayRef sizes, c10::ScalarType dtype,
                                   c10::Device device) const = 0;

  // Whether a call of the named operator has such a tensor among its arguments or makes one.
  virtual bool concerns(const std::string& op, c10::ArrayRef<c10::IValue> args) const = 0;
  // What such a call gives, without data. Throws c10::Error where the operator itself would.
  virtual std::vector<at::Tensor> abstract_results(const c10::OperatorHandle& op,
                                                   c10::ArrayRef<c10::IValue> args) const = 0;
  // Throws c10::Error where the call may not write its arguments as they lie.
  virtual void check_write(const c10::OperatorHandle& op,
                           c10::ArrayRef<c10::IValue> args) const = 0;
};

// `tensors` lives as long as the process.
void register_distributed_tensors(const DistributedTensors& tensors);
// Null in a program that has none.
const DistributedTensors* distributed_tensors();
// The same, null for a plain tensor.
const DistributedTensors* distributed_tensors_of(const at::Tensor& tensor);

}  // namespace samebits
