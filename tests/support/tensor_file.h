#pragma once

#include <ATen/ATen.h>

#include <cstring>
#include <string>

#include "harness/bits/safetensors.h"

namespace samebits::testing {

// A copy of one tensor of a safetensors file; float32 or bfloat16.
inline at::Tensor tensor_in(const SafetensorsFile& file, const std::string& name) {
  const TensorView& view = file.at(name);
  TORCH_CHECK(view.dtype == Dtype::float32 || view.dtype == Dtype::bfloat16, name);
  at::Tensor tensor =
      at::empty(view.shape, view.dtype == Dtype::float32 ? at::kFloat : at::kBFloat16);
  std::memcpy(tensor.mutable_data_ptr(), view.data.data(), view.data.size());
  return tensor;
}

}  // namespace samebits::testing
