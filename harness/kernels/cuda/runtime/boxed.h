#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime_api.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <type_traits>
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
  const std::vector<c10::IValue>& arguments() const { return args_; }
  const std::vector<at::Tensor>& results() const { return results_; }
  // The results, to be named; throws c10::Error where the schema has another number of them.
  template <size_t kCount>
  std::array<at::Tensor, kCount> results() const {
    TORCH_CHECK(results_.size() == kCount, op_, ": found ", results_.size(), " results, expected ",
                kCount);
    std::array<at::Tensor, kCount> all;
    std::copy(results_.begin(), results_.end(), all.begin());
    return all;
  }
  // Of an operator that has one.
  at::Tensor result() const { return results<1>()[0]; }

  // Whether x is bfloat16; throws c10::Error where it is not float32 either.
  bool is_bf16(const at::Tensor& x) const;
  // Throws c10::Error in the words of the CPU's kernels where x has another dtype.
  void expect(const at::Tensor& x, const char* name, at::ScalarType dtype) const;
  void expect_like(const at::Tensor& x, const char* name, const at::Tensor& other) const;
  // An int32 copy of an index tensor of either width; itself where it is int32.
  at::Tensor as_int32(const at::Tensor& x, const char* name) const;

  // float32 elements that live as long as the call's launches need them.
  float* workspace(int64_t elements);
  cudaStream_t stream() const { return stream_; }

  // Whether a kernel launched now may read x before it waits (launch.cuh). Known while a graph is
  // captured, right after an operator of ours; otherwise the launches before may be anybody's, and
  // the host is slower than the card anyway.
  bool is_settled(const at::Tensor& x) const;
  bool all_settled() const;  // tensor arguments
  template <typename... Tensors>
  bool are_settled(const Tensors&... x) const {
    return (is_settled(x) && ...);
  }
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

// Elements. T is not checked: the call's checks come first.
template <typename T = void>
const T* data_of(const at::Tensor& x) {
  return static_cast<const T*>(x.const_data_ptr());
}
// Of a tensor that is written.
template <typename T = void>
T* written(const at::Tensor& x) {
  return static_cast<T*>(x.mutable_data_ptr());
}

// A kernel's parameter from its argument. References are to the call's own.
template <typename T>
decltype(auto) parameter(const c10::IValue& argument) {
  if constexpr (std::is_same_v<T, const at::Tensor&>) {
    return argument.toTensor();
  } else if constexpr (std::is_same_v<T, float>) {
    return static_cast<float>(argument.toDouble());
  } else {
    return argument.to<std::remove_cvref_t<T>>();
  }
}

// The operator's arguments get their names here, once: they are the parameters behind the call, in
// the order of the schema.
template <typename... Parameters, size_t... kPlaces>
void run_named(void (*run)(Call&, Parameters...), Call& call, std::index_sequence<kPlaces...>) {
  TORCH_CHECK(call.arguments().size() == sizeof...(Parameters), call.op(), ": found ",
              call.arguments().size(), " arguments, expected ", sizeof...(Parameters));
  run(call, parameter<Parameters>(call.arguments()[kPlaces])...);
}
template <typename... Parameters>
void run_named(void (*run)(Call&, Parameters...), Call& call) {
  run_named(run, call, std::index_sequence_for<Parameters...>());
}

// Takes the arguments off the stack and leaves the results. Arguments first ... first + kUncopied
// are written, or too large to copy unnoticed: what is not contiguous among them is refused here,
// before Call makes everything contiguous. An error of the card names the operator.
template <auto kRun, size_t kFirst, size_t kUncopied>
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
  naming_operator(op, [&] { run_named(kRun, call); });
  call.finish(op.schema());
  for (const at::Tensor& result : call.results()) stack->emplace_back(result);
}

// kRun: void(Call&, the operator's arguments).
template <auto kRun, size_t kFirst = 0, size_t kUncopied = 0>
torch::CppFunction kernel() {
  return torch::CppFunction::makeFromBoxedFunction<&boxed<kRun, kFirst, kUncopied>>();
}

}  // namespace samebits::cuda
