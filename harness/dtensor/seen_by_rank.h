#pragma once

#include <cstdint>

namespace samebits {

// Of what every rank of a local mesh holds, full_tensor gives the first one's copy. For the guard's
// lifetime, on this thread, it gives the copy of the rank at this index among those that are
// hosted: what that rank would see if it were a process. Guards do not nest.
class SeenByRank {
 public:
  explicit SeenByRank(int64_t rank);
  ~SeenByRank();
  SeenByRank(const SeenByRank&) = delete;
  SeenByRank& operator=(const SeenByRank&) = delete;

  // 0 where no guard lives.
  static int64_t rank();
};

}  // namespace samebits
