#include "harness/kernels/cuda/boxed.h"

#include <ATen/cuda/CUDAContext.h>
#include <ATen/ops/empty.h>

#include <utility>

#include "harness/kernels/shape_rule.h"

namespace samebits::cuda {

c10::Device device_of(const std::vector<c10::IValue>& args) {
  for (const c10::IValue& arg : args) {
    if (arg.isTensor() && arg.toTensor().defined()) return arg.toTensor().device();
    if (arg.isTensorList() && !arg.toTensorList().empty()) return arg.toTensorVector()[0].device();
  }
  TORCH_CHECK(false, "found no tensor among the arguments, expected one or more");
}

namespace {

void check_device(const std::string& op, const at::Tensor& x, c10::Device device) {
  TORCH_CHECK(x.device() == device, op, ": found tensors on ", x.device(), " and on ", device,
              ", expected one device");
}

}  // namespace

Call::Call(std::string op, std::vector<c10::IValue> args)
    : op_(std::move(op)), args_(std::move(args)), stream_(at::cuda::getCurrentCUDAStream()) {
  const c10::Device device = device_of(args_);
  for (const c10::IValue& arg : args_) {
    if (arg.isTensor() && arg.toTensor().defined()) check_device(op_, arg.toTensor(), device);
    if (!arg.isTensorList()) continue;
    for (const at::Tensor& x : arg.toTensorVector()) check_device(op_, x, device);
  }
  std::vector<TensorMeta> metas = infer_shapes("samebits::" + op_, args_);
  for (const TensorMeta& meta : metas) {
    results_.push_back(at::empty(c10::asIntArrayRefUnchecked(meta.sizes),
                                 at::TensorOptions().dtype(meta.dtype).device(device)));
  }
  for (c10::IValue& arg : args_) {
    if (arg.isTensor() && arg.toTensor().defined()) arg = arg.toTensor().contiguous();
  }
}

bool Call::is_bf16(size_t i) const {
  const at::ScalarType dtype = tensor(i).scalar_type();
  TORCH_CHECK(dtype == at::kBFloat16 || dtype == at::kFloat, op_, ": found dtype ", dtype,
              ", expected BFloat16 or Float");
  return dtype == at::kBFloat16;
}

void Call::expect(size_t i, const char* name, at::ScalarType dtype) const {
  TORCH_CHECK(tensor(i).scalar_type() == dtype, op_, ": ", name, " has dtype ",
              tensor(i).scalar_type(), ", expected ", dtype);
}

void Call::expect_like(size_t i, const char* name, size_t other) const {
  expect(i, name, tensor(other).scalar_type());
}

at::Tensor Call::as_int32(size_t i, const char* name) const {
  const at::Tensor& x = tensor(i);
  TORCH_CHECK(x.scalar_type() == at::kInt || x.scalar_type() == at::kLong, op_, ": ", name,
              " has dtype ", x.scalar_type(), ", expected Int or Long");
  return x.to(at::kInt);
}

float* Call::workspace(int64_t elements) {
  if (elements == 0) return nullptr;
  workspaces_.push_back(
      at::empty({elements}, at::TensorOptions().dtype(at::kFloat).device(device_of(args_))));
  return workspaces_.back().mutable_data_ptr<float>();
}

}  // namespace samebits::cuda
