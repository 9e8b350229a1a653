#pragma once

#include <chrono>
#include <cstdint>

namespace samebits {

// Processor time of this process so far, all threads together, in seconds.
double processor_seconds();

// Monotonic wall clock and processor time, from its construction. Never enters an observation.
class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  double processor_seconds() const { return samebits::processor_seconds() - processor_start_; }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
  double processor_start_ = samebits::processor_seconds();
};

// The process's peak resident memory since the last reset, in bytes; 0 where the kernel does not
// tell (/proc/self/status, VmHWM).
int64_t peak_memory_bytes();

// Starts a new peak at what is resident now. Where the kernel refuses (/proc/self/clear_refs), the
// peak goes on growing.
void reset_peak_memory();

}  // namespace samebits
