#include "harness/observe/tensor_observation.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <utility>

#include "harness/dtensor/dtensor.h"
#include "harness/kernels/functional.h"

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

UnreadObservation begin_observation(int64_t step, std::string phase, int64_t rank, std::string site,
                                    const at::Tensor& value) {
  const c10::NoGradGuard no_grad;
  at::Tensor whole = (is_dtensor(value) ? full_tensor(value) : value).detach().contiguous();
  const Dtype dtype = dtype_from_scalar_type(whole.scalar_type());
  if (whole.is_cuda() && whole.dim() > 0) {
    Observation observation{step,  std::move(phase),    rank, std::move(site),
                            dtype, whole.sizes().vec(), {},   std::nullopt};
    return {std::move(observation), ops::digest_sums(whole)};
  }
  whole = whole.cpu();
  return {observe_tensor(step, std::move(phase), rank, std::move(site), dtype, whole.sizes().vec(),
                         whole.const_data_ptr()),
          at::Tensor()};
}

std::vector<Observation> read_observations(std::vector<UnreadObservation> unread) {
  std::vector<at::Tensor> sums;
  for (const UnreadObservation& each : unread) {
    if (each.sums.defined()) sums.push_back(each.sums);
  }
  const at::Tensor all = sums.empty() ? at::Tensor() : at::stack(sums).cpu();
  const int64_t* next = sums.empty() ? nullptr : all.const_data_ptr<int64_t>();
  std::vector<Observation> observations;
  for (UnreadObservation& each : unread) {
    Observation& observation = observations.emplace_back(std::move(each.observation));
    if (!each.sums.defined()) continue;
    const DigestSums read{static_cast<uint64_t>(next[0]), static_cast<uint64_t>(next[1])};
    observation.digest = finish_digest(read, observation.dtype, observation.shape);
    next += 2;
  }
  return observations;
}

}  // namespace samebits
