#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace samebits {

// What a run is doing, kept for whoever must say where it stood.
class Activity {
 public:
  // From here on the place is `place`: "arm eager, step 3, train". Any thread.
  void enter(std::string place);

  // The place, and the operator of the dispatcher that began last, on any thread:
  // "arm eager, step 3, train, last operator aten::mm".
  std::string text() const;

 private:
  mutable std::mutex mutex_;
  std::string place_;
};

// Follows which operator begins, for Activity, for as long as it lives.
class OperatorFollower {
 public:
  OperatorFollower();
  ~OperatorFollower();
  OperatorFollower(const OperatorFollower&) = delete;
  OperatorFollower& operator=(const OperatorFollower&) = delete;

 private:
  uint64_t callback_;
};

// Ends the process with exit code 3 and one line on stderr when `seconds` have passed since its
// construction, wherever the run then is: a hang in a kernel or a collective cannot be left in any
// other way. What had been flushed to files stays.
class Watchdog {
 public:
  // `activity` is borrowed. Operators are followed while a watchdog lives.
  Watchdog(double seconds, const Activity& activity);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  void watch(double seconds);

  const Activity& activity_;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool is_ended_ = false;
  OperatorFollower operators_;
  std::thread thread_;
};

}  // namespace samebits
