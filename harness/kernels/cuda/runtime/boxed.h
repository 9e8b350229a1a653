#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime_api.h>
#include <torch/library.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "harness/dispatch/device_error.h"

namespace samebits::cuda {

// Of the first tensor among the arguments, lists of tensors included.
c10::Device device_of(const std::vector<c10::IValue>& args);

// Where a capture stands.
struct CapturePlace {
  unsigned long long capture = 0;     // 0: there is none
  std::vector<cudaGraphNode_t> ends;  // what the next launch will depend on
  bool operator==(const CapturePlace&) const = default;
};

// One call of an operator on the card: its arguments in schema order, every tensor contiguous, and
// the results that its shape rule asks for, allocated.
class Call {
 public:
  Call(std::string op, std::vector<c10::IValue> args);

  const std::string& op() const { return op_; }
  const at::Tensor& tensor(size_t i) const { return args_[i].toTensor(); }
  const c10::IValue& arg(size_t i) const { return args_[i]; }
  int64_t integer(size_t i) const { return args_[i].toInt(); }
  float real(size_t i) const { return static_cast<float>(args_[i].toDouble()); }
  bool flag(size_t i) const { return args_[i].toBool(); }

  // Elements of argument i. T is not checked here: the checks below come first.
  template <typename T = void>
  T* data(size_t i) const {
    return static_cast<T*>(const_cast<void*>(tensor(i).const_data_ptr()));
  }
  template <typename T = void>
  T* result(size_t i) const {
    return static_cast<T*>(results_[i].mutable_data_ptr());
  }
  const at::Tensor& result_tensor(size_t i) const { return results_[i]; }
  const std::vector<at::Tensor>& results() const { return results_; }

  // Whether argument i is bfloat16; throws c10::Error where it is not float32 either.
  bool is_bf16(size_t i) const;
  // Throws c10::Error in the words of the CPU's kernels where argument i has another dtype.
  void expect(size_t i, const char* name, at::ScalarType dtype) const;
  void expect_like(size_t i, const char* name, size_t other) const;
  // An int32 copy of an index tensor of either width; itself where it is int32.
  at::Tensor as_int32(size_t i, const char* name) const;

  // float32 elements that live as long as the call's launches need them.
  float* workspace(int64_t elements);
  cudaStream_t stream() const { return stream_; }

  // Whether a kernel launched now may read x before it waits (launch.cuh). Known while a graph is
  // captured, right after an operator of ours; otherwise the launches before may be anybody's, and
  // the host is slower than the card anyway.
  bool is_settled(const at::Tensor& x) const;
  bool all_settled() const;  // tensor arguments
  bool settled(std::initializer_list<size_t> arguments) const;
  // The kernels were, or may have been, early ones.
  void began_early() { began_early_ = true; }
  // Notes what was written, for those after it.
  void finish(const c10::FunctionSchema& schema) const;

 private:
  std::string op_;
  std::vector<c10::IValue> args_;
  std::vector<at::Tensor> results_;
  std::vector<at::Tensor> workspaces_;
  cudaStream_t stream_;
  bool began_early_ = false;
  CapturePlace begin_;
};

// Takes the arguments off the stack and leaves the results. Arguments first ... first + kUncopied
// are written, or too large to copy unnoticed: what is not contiguous among them is refused here,
// before Call makes everything contiguous. An error of the card names the operator.
template <void (*kRun)(Call&), size_t kFirst, size_t kUncopied>
void boxed(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const std::string name = op.schema().name().substr(op.schema().name().find("::") + 2);
  std::vector<c10::IValue> args = torch::jit::pop(*stack, op.schema().arguments().size());
  for (size_t i = kFirst; i < kFirst + kUncopied; ++i) {
    TORCH_CHECK(!args[i].isTensor() || args[i].toTensor().is_contiguous(), name, ": ",
                op.schema().arguments()[i].name(), " is not contiguous");
  }
  c10::cuda::OptionalCUDAGuard guard;
  // Where the first tensor is the one that is not on a card, Call says so.
  if (const c10::Device device = device_of(args); device.is_cuda()) guard.set_device(device);
  Call call(name, std::move(args));
  naming_operator(op, [&] { kRun(call); });
  call.finish(op.schema());
  for (const at::Tensor& result : call.results()) stack->emplace_back(result);
}

template <void (*kRun)(Call&), size_t kFirst = 0, size_t kUncopied = 0>
torch::CppFunction kernel() {
  return torch::CppFunction::makeFromBoxedFunction<&boxed<kRun, kFirst, kUncopied>>();
}

}  // namespace samebits::cuda
