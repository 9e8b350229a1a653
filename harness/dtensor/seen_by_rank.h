#pragma once

#include <cstdint>

#include "harness/dispatch/thread_local_guard.h"

namespace samebits {

// Of what every rank of a local mesh holds, full_tensor gives the first one's copy. For the guard's
// lifetime, on this thread, it gives the copy of the rank at this index among those that are
// hosted: what that rank would see if it were a process.
class SeenByRank : public ThreadLocalGuard<SeenByRank, int64_t> {
 public:
  explicit SeenByRank(int64_t rank) : ThreadLocalGuard(rank) {}

  // 0 where no guard lives.
  static int64_t rank() { return value(); }
};

}  // namespace samebits
