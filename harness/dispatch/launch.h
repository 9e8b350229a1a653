#pragma once

#include <functional>
#include <type_traits>

namespace samebits {

// Takes what a thread launches while it captures.
class LaunchSink {
 public:
  virtual ~LaunchSink() = default;
  // `name` lives as long as the process.
  virtual void add(const char* name, std::function<void()> body) = 0;
};

// Sends the launches of the calling thread to `sink` for the guard's lifetime: as on a stream that
// captures, they are recorded and do not run. The sink is borrowed. Guards do not nest.
class LaunchCaptureGuard {
 public:
  explicit LaunchCaptureGuard(LaunchSink& sink);
  ~LaunchCaptureGuard();
  LaunchCaptureGuard(const LaunchCaptureGuard&) = delete;
  LaunchCaptureGuard& operator=(const LaunchCaptureGuard&) = delete;
};

// Where the calling thread's launches go; null while it does not capture.
LaunchSink* launch_sink();

// The device part of an operator: everything that reads or writes elements. The host part before it
// checks shapes and allocates. `body` holds raw pointers, sizes and other plain values, by value
// (never a tensor, a container or a reference), because a captured one runs again long after the
// call that made it. Values read from memory are checked inside, and may throw from there.
template <typename Body>
void launch(const char* name, const Body& body) {
  static_assert(std::is_trivially_copyable_v<Body>, "a launch holds plain values only");
  if (LaunchSink* sink = launch_sink()) {
    sink->add(name, body);
  } else {
    body();
  }
}

}  // namespace samebits
