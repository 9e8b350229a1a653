#include "harness/observe/observation_clock.h"

#include <utility>

namespace samebits {

bool ObservationClock::start() {
  if (depth_++ > 0) return false;
  if (device_ == DeviceKind::kCuda) on_device_.start();
  stopwatch_.emplace();
  return true;
}

bool ObservationClock::stop() {
  if (--depth_ > 0) return false;
  times_.seconds += stopwatch_->seconds();
  times_.processor_seconds += stopwatch_->processor_seconds();
  stopwatch_.reset();
  if (device_ == DeviceKind::kCuda) on_device_.stop();
  return true;
}

ObservationClock::Times ObservationClock::take() {
  Times times = std::exchange(times_, {});
  if (device_ == DeviceKind::kCuda) times.seconds = on_device_.take_seconds();
  return times;
}

}  // namespace samebits
