#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <string>
#include <vector>

namespace samebits::cuda {

// One call of an operator on the card: its arguments in schema order, every tensor contiguous, and
// the results that its shape rule asks for, allocated.
class Call {
 public:
  Call(std::string op, std::vector<c10::IValue> args);

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

 private:
  std::string op_;
  std::vector<c10::IValue> args_;
  std::vector<at::Tensor> results_;
  std::vector<at::Tensor> workspaces_;
  cudaStream_t stream_;
};

}  // namespace samebits::cuda
