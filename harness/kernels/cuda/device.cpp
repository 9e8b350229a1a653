#include "harness/kernels/device.h"

#include <cuda_runtime_api.h>

#include "harness/kernels/cuda/fault.h"

namespace samebits {

std::string why_no_cuda() {
  int count = 0;
  if (const cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess) {
    return std::string("no CUDA device answers: ") + cudaGetErrorString(error);
  }
  if (count == 0) return "this machine has no CUDA device";
  cudaDeviceProp card{};
  if (const cudaError_t error = cudaGetDeviceProperties(&card, 0); error != cudaSuccess) {
    return std::string("CUDA device 0: ") + cudaGetErrorString(error);
  }
  if (card.major == 9 && card.minor == 0) return "";
  return std::string(card.name) + " is sm_" + std::to_string(card.major) +
         std::to_string(card.minor) + ", whose matrix step is not known; expected sm_90";
}

// Arms on the CPU ask too, and without a card there is no record to make.
void throw_device_fault() {
  static const bool has_card = why_no_cuda().empty();
  if (has_card) cuda::throw_fault();
}

}  // namespace samebits
