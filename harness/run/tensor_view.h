#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "harness/bits/safetensors.h"
#include "harness/observe/tensor_observation.h"

namespace samebits {

// A contiguous tensor of the CPU, whose memory it borrows.
inline TensorView view_of(std::string name, const at::Tensor& tensor) {
  const auto* bytes = static_cast<const std::byte*>(tensor.const_data_ptr());
  return {std::move(name),
          dtype_from_scalar_type(tensor.scalar_type()),
          tensor.sizes().vec(),
          {bytes, tensor.nbytes()}};
}

}  // namespace samebits
