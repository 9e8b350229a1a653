#include "harness/kernels/device.h"

#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>
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

void wait_for_device() {
  if (is_in_use()) c10::cuda::device_synchronize();
}

// Events are made once, and recorded again for later pairs.
struct DeviceStopwatch::Events {
  std::vector<cudaEvent_t> all;
  size_t recorded = 0;

  void make() {
    cudaEvent_t event = nullptr;
    C10_CUDA_CHECK(cudaEventCreate(&event));
    all.push_back(event);
  }
  ~Events() {
    for (const cudaEvent_t event : all) C10_CUDA_IGNORE_ERROR(cudaEventDestroy(event));
  }
};

DeviceStopwatch::DeviceStopwatch() : events_(std::make_unique<Events>()) {}
DeviceStopwatch::~DeviceStopwatch() = default;

void DeviceStopwatch::start() {
  while (events_->all.size() < events_->recorded + 2) events_->make();
  const cudaStream_t stream = c10::cuda::getCurrentCUDAStream();
  C10_CUDA_CHECK(cudaEventRecord(events_->all[events_->recorded++], stream));
}

// What a card that failed answers is thrown by whoever asks it next: this may run as a failure is
// on its way already.
void DeviceStopwatch::stop() {
  const cudaStream_t stream = c10::cuda::getCurrentCUDAStream();
  C10_CUDA_IGNORE_ERROR(cudaEventRecord(events_->all[events_->recorded++], stream));
}

double DeviceStopwatch::take_seconds() {
  const size_t pairs = events_->recorded / 2;
  events_->recorded = 0;
  if (pairs == 0) return 0;
  C10_CUDA_CHECK(cudaEventSynchronize(events_->all[2 * pairs - 1]));
  double seconds = 0;
  for (size_t i = 0; i < pairs; ++i) {
    float milliseconds = 0;
    C10_CUDA_CHECK(
        cudaEventElapsedTime(&milliseconds, events_->all[2 * i], events_->all[2 * i + 1]));
    seconds += 1e-3 * static_cast<double>(milliseconds);
  }
  return seconds;
}

// Arms on the CPU ask too, and without a card there is no record to make.
void throw_device_fault() {
  static const bool has_card = why_no_cuda().empty();
  if (has_card) cuda::throw_fault();
}

void use_certificates(const std::string& file) { cuda::use_certificates(file); }

}  // namespace samebits
