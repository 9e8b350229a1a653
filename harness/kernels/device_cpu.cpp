#include "harness/kernels/cuda/gemm/certificate_file.h"
#include "harness/kernels/device.h"

namespace samebits {

std::string why_no_cuda() { return "this build has no CUDA (configure with SAMEBITS_CUDA=ON)"; }

std::vector<std::pair<std::string, std::string>> device_environment() { return {}; }

int64_t device_count() { return 0; }

void use_device(int64_t /*index*/) {}

int64_t free_device_memory() { return 0; }

int64_t peak_device_memory() { return 0; }

int64_t peak_reserved_device_memory() { return 0; }

void reset_peak_device_memory() {}

void wait_for_device() {}

struct DeviceStopwatch::Events {};
DeviceStopwatch::DeviceStopwatch() = default;
DeviceStopwatch::~DeviceStopwatch() = default;
void DeviceStopwatch::start() {}
void DeviceStopwatch::stop() {}
double DeviceStopwatch::take_seconds() { return 0; }

void throw_device_fault() {}

void use_certificates(const std::string& file) { (void)read_certificates(file); }

}  // namespace samebits
