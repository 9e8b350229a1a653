#include "harness/kernels/device.h"

#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include "harness/kernels/cuda/gemm/certified_gemm.h"
#include "harness/kernels/cuda/runtime/fault.h"
#include "harness/kernels/device_rules.h"

namespace samebits {

std::string why_no_cuda() {
  int driver = 0;
  int toolkit = 0;
  (void)cudaDriverGetVersion(&driver);
  (void)cudaRuntimeGetVersion(&toolkit);
  if (std::string reason = why_not_driver(driver, toolkit); !reason.empty()) return reason;
  int count = 0;
  if (const cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess) {
    return std::string("no CUDA device answers: ") + cudaGetErrorString(error);
  }
  if (count == 0) return "this machine has no CUDA device";
  cudaDeviceProp card{};
  if (const cudaError_t error = cudaGetDeviceProperties(&card, 0); error != cudaSuccess) {
    return std::string("CUDA device 0: ") + cudaGetErrorString(error);
  }
  return why_not_card(card.name, card.major, card.minor);
}

std::vector<std::pair<std::string, std::string>> device_environment() {
  cudaDeviceProp card{};
  if (cudaGetDeviceProperties(&card, 0) != cudaSuccess) return {};
  int driver = 0;
  int runtime = 0;
  (void)cudaDriverGetVersion(&driver);
  (void)cudaRuntimeGetVersion(&runtime);
  const auto version = [](int number) {  // 13020: 13.2
    return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
  };
  const size_t gib = card.totalGlobalMem >> 30;
  return {{"card", std::string(card.name) + ", compute capability " + std::to_string(card.major) +
                       "." + std::to_string(card.minor) + ", " + std::to_string(gib) + " GiB, " +
                       std::to_string(card.multiProcessorCount) + " processors"},
          {"CUDA", "driver for " + version(driver) + ", runtime " + version(runtime) +
                       ", cuBLASLt " + std::to_string(cublasLtGetVersion())}};
}

int64_t device_count() { return c10::cuda::device_count(); }

void use_device(int64_t index) { c10::cuda::set_device(static_cast<c10::DeviceIndex>(index)); }

int64_t free_device_memory() {
  size_t free = 0;
  size_t total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess) return 0;
  return static_cast<int64_t>(free);
}

namespace {

namespace allocator = c10::cuda::CUDACachingAllocator;

bool is_in_use() { return allocator::get()->initialized(); }

// Since the last reset, on the current card.
int64_t peak_of(c10::CachingAllocator::StatArray allocator::DeviceStats::*stat) {
  if (!is_in_use()) return 0;
  const auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  return (allocator::getDeviceStats(c10::cuda::current_device()).*stat)[all].peak;
}

}  // namespace

int64_t peak_device_memory() { return peak_of(&allocator::DeviceStats::allocated_bytes); }

int64_t peak_reserved_device_memory() { return peak_of(&allocator::DeviceStats::reserved_bytes); }

void reset_peak_device_memory() {
  if (is_in_use()) allocator::resetPeakStats(c10::cuda::current_device());
}

// Arms on the CPU ask too, and without a card there is no record to make.
void throw_device_fault() {
  static const bool has_card = why_no_cuda().empty();
  if (has_card) cuda::throw_fault();
}

void use_certificates(const std::string& file) { cuda::use_certificates(file); }

}  // namespace samebits
