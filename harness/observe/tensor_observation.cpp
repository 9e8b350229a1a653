#include "harness/observe/tensor_observation.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "harness/dtensor/dtensor.h"

namespace samebits {

Dtype dtype_from_scalar_type(at::ScalarType type) {
  switch (type) {
    case at::kBool:
      return Dtype::bool_;
    case at::kByte:
      return Dtype::uint8;
    case at::kInt:
      return Dtype::int32;
    case at::kLong:
      return Dtype::int64;
    case at::kHalf:
      return Dtype::float16;
    case at::kBFloat16:
      return Dtype::bfloat16;
    case at::kFloat:
      return Dtype::float32;
    case at::kDouble:
      return Dtype::float64;
    default:
      TORCH_CHECK(false, "a tensor of dtype ", type, " cannot be observed");
  }
}

Observation observe_tensor(int64_t step, std::string phase, int64_t rank, std::string site,
                           const at::Tensor& value) {
  const c10::NoGradGuard no_grad;
  const at::Tensor whole =
      (is_dtensor(value) ? full_tensor(value) : value).detach().to(at::kCPU).contiguous();
  return observe_tensor(step, std::move(phase), rank, std::move(site),
                        dtype_from_scalar_type(whole.scalar_type()), whole.sizes().vec(),
                        whole.const_data_ptr());
}

}  // namespace samebits
