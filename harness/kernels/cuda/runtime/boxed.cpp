#include "harness/kernels/cuda/runtime/boxed.h"

#include <ATen/cuda/CUDAContext.h>
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGraphsC10Utils.h>

#include <algorithm>
#include <utility>

#include "harness/dispatch/schema.h"
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

// What this thread knows of its capture. Only where `place` is still the end of the capture is what
// it launched last an operator of ours.
struct Chain {
  CapturePlace place;
  // Beginnings of the storages written by the last operator whose kernels are not early, and by
  // those after it.
  std::vector<const void*> unsettled;
};
thread_local Chain tls_chain;

const void* storage_of(const at::Tensor& x) { return x.storage().data(); }

CapturePlace place_of(cudaStream_t stream) {
  CapturePlace place;
  if (c10::cuda::currentStreamCaptureStatusMayInitCtx() != c10::cuda::CaptureStatus::Active) {
    return place;
  }
  cudaStreamCaptureStatus status{};
  const cudaGraphNode_t* ends = nullptr;
  size_t count = 0;
  C10_CUDA_CHECK(cudaStreamGetCaptureInfo(stream, &status, &place.capture, /*graph=*/nullptr, &ends,
                                          /*edges=*/nullptr, &count));
  place.ends.assign(ends, ends + count);
  return place;
}

}  // namespace

bool Call::is_settled(const at::Tensor& x) const {
  const auto& unsettled = tls_chain.unsettled;
  return tls_chain.place.capture != 0 && tls_chain.place == place_of(stream_) &&
         std::find(unsettled.begin(), unsettled.end(), storage_of(x)) == unsettled.end();
}

bool Call::all_settled() const {
  return std::all_of(args_.begin(), args_.end(), [&](const c10::IValue& arg) {
    return !arg.isTensor() || !arg.toTensor().defined() || is_settled(arg.toTensor());
  });
}

void Call::finish(const c10::FunctionSchema& schema) const {
  if (begin_.capture == 0) return;
  const CapturePlace end = place_of(stream_);
  if (end != begin_) {  // otherwise it launched nothing, as a mark does
    if (!began_early_) tls_chain.unsettled.clear();
    tls_chain.place = end;
  }
  const auto note = [](const at::Tensor& x) {
    if (x.defined()) tls_chain.unsettled.push_back(storage_of(x));
  };
  for (const at::Tensor& result : results_) note(result);
  for (size_t i = 0; i < args_.size(); ++i) {
    if (!is_written(schema.arguments()[i])) continue;
    if (args_[i].isTensor()) note(args_[i].toTensor());
    if (!args_[i].isTensorList()) continue;
    for (const at::Tensor& x : args_[i].toTensorVector()) note(x);
  }
}

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
  begin_ = place_of(stream_);
}

bool Call::is_bf16(const at::Tensor& x) const {
  const at::ScalarType dtype = x.scalar_type();
  TORCH_CHECK(dtype == at::kBFloat16 || dtype == at::kFloat, op_, ": found dtype ", dtype,
              ", expected BFloat16 or Float");
  return dtype == at::kBFloat16;
}

void Call::expect(const at::Tensor& x, const char* name, at::ScalarType dtype) const {
  TORCH_CHECK(x.scalar_type() == dtype, op_, ": ", name, " has dtype ", x.scalar_type(),
              ", expected ", dtype);
}

void Call::expect_like(const at::Tensor& x, const char* name, const at::Tensor& other) const {
  expect(x, name, other.scalar_type());
}

at::Tensor Call::as_int32(const at::Tensor& x, const char* name) const {
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
