#pragma once

#include <string>

#include "harness/dispatch/thread_local_guard.h"

namespace samebits {

// Asked of each guard that is false where guards are kept. It is there for faults: a guard that is
// left out, or that passes.
class GuardWatch {
 public:
  virtual ~GuardWatch() = default;
  // Whether it passes all the same. `condition`: "tokens % 2 == 0"; `guard`: that and who asked;
  // `sizes`: "tokens=61, rows=8".
  virtual bool passes(const std::string& condition, const std::string& guard,
                      const std::string& sizes) = 0;
};

// Puts a watch on this thread for the guard's lifetime. Borrowed.
class GuardWatchGuard : public ThreadLocalGuard<GuardWatchGuard, GuardWatch*> {
 public:
  explicit GuardWatchGuard(GuardWatch& watch) : ThreadLocalGuard(&watch) {}

  // Null where there is none.
  static GuardWatch* watch() { return value(); }
};

}  // namespace samebits
