#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

// What this build and this machine have besides the CPU.
namespace samebits {

// Why arms cannot run on a CUDA device here, for a person; "" where they can: no card, one that
// device_rules.h refuses, a driver that is too old.
std::string why_no_cuda();

// The first card, its driver and the CUDA libraries in use, as "card": "NVIDIA H200, ..."; empty in
// a build without CUDA, and where no card answers.
std::vector<std::pair<std::string, std::string>> device_environment();

// How many cards answer; 0 in a build without CUDA.
int64_t device_count();

// Makes card `index`, below device_count(), the current one of this thread.
void use_device(int64_t index);

// Bytes that the driver would still give out on the current card; 0 where there is none.
int64_t free_device_memory();

// The most bytes that tensors took on the current card at once since the last reset, those of graph
// pools included; 0 where there is no card, or nothing was ever on it.
int64_t peak_device_memory();
// Likewise, what the allocator had of the driver, whether tensors had it or not.
int64_t peak_reserved_device_memory();
void reset_peak_device_memory();

// Waits until the current card has done all that it was given; nothing to do without one.
void wait_for_device();

// Time on the current stream of the current card between start() and stop(), by the card's own
// clock: nobody waits for either. Without a card it is 0. Not while a graph is captured.
class DeviceStopwatch {
 public:
  DeviceStopwatch();
  ~DeviceStopwatch();
  DeviceStopwatch(const DeviceStopwatch&) = delete;
  DeviceStopwatch& operator=(const DeviceStopwatch&) = delete;

  void start();
  void stop();
  double take_seconds();  // of all pairs since it was last asked; waits for the last of them

 private:
  struct Events;
  std::unique_ptr<Events> events_;
};

// Throws c10::Error in one line if a kernel that has finished met a value that its operator refuses
// (cuda/fault.h). To be called where results were read back; nothing to do in a build without CUDA.
void throw_device_fault();

// From now on `file` remembers which algorithms of cuBLASLt were certified (cuda/certified_gemm.h),
// and saves the search for what it holds already; it need not be there yet. "", or never called:
// every process makes its own search. Throws InputError for a file that is none
// (certificate_file.h), in a build without CUDA too, which has no other use for it.
void use_certificates(const std::string& file);

}  // namespace samebits
