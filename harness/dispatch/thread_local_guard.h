#pragma once

#include <utility>

namespace samebits {

// A value that a thread has for the guard's lifetime; then it has again what it had before. `Name`
// is the class that derives from this one, each of which has a value of its own.
template <typename Name, typename T>
class ThreadLocalGuard {
 public:
  ~ThreadLocalGuard() { value_ = before_; }
  ThreadLocalGuard(const ThreadLocalGuard&) = delete;
  ThreadLocalGuard& operator=(const ThreadLocalGuard&) = delete;

 protected:
  // T{} where no guard lives.
  static T value() { return value_; }

 private:
  friend Name;
  explicit ThreadLocalGuard(T value) : before_(std::exchange(value_, value)) {}

  static inline thread_local T value_{};
  T before_;
};

}  // namespace samebits
