#pragma once

#include <string>

#include "harness/dispatch/thread_local_guard.h"

namespace samebits {

// An operator that runs others one by one says for which operator of the program it runs them: the
// tiles of a product, and what joins and rounds them. For the guard's lifetime, on this thread;
// `op` lives as long as the process.
class PartOf : public ThreadLocalGuard<PartOf, const std::string*> {
 public:
  explicit PartOf(const std::string& op) : ThreadLocalGuard(&op) {}

  // Null where no guard lives.
  static const std::string* op() { return value(); }
};

}  // namespace samebits
