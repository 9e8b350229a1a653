#pragma once

#include <cstdint>
#include <optional>

#include "harness/base/stopwatch.h"
#include "harness/kernels/device.h"
#include "harness/kernels/device_kind.h"

namespace samebits {

// What observing takes of a phase's time. Stretches of observing nest; the outermost counts.
class ObservationClock {
 public:
  struct Times {
    double seconds = 0;            // wall clock
    double processor_seconds = 0;  // of all threads of the host
  };

  explicit ObservationClock(DeviceKind device) : device_(device) {}

  // Whether a stretch begins, or has ended: false for one inside of another.
  bool start();
  bool stop();

  // Of all stretches since it was last asked, on the CPU as the host's clocks have them. On a card,
  // whose work the host runs ahead of, wall clock is what the card's stream took from the first
  // launch of each stretch to its last; waits for the last.
  Times take();

 private:
  DeviceKind device_;
  int64_t depth_ = 0;
  std::optional<Stopwatch> stopwatch_;  // of the outermost stretch
  Times times_;
  DeviceStopwatch on_device_;
};

}  // namespace samebits
