#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "harness/graph/arena.h"

namespace samebits {

// Where a thread's CPU tensors come from while the guard lives: from the arena. Other threads, and
// this one without a guard, are served by LibTorch's allocator as always. A tensor that outlives
// the guard keeps its block, and the arena. Guards nest.
class ArenaGuard {
 public:
  explicit ArenaGuard(std::shared_ptr<Arena> arena);
  ~ArenaGuard();
  ArenaGuard(const ArenaGuard&) = delete;
  ArenaGuard& operator=(const ArenaGuard&) = delete;

  // Named as the owner of the blocks allocated from here on.
  void set_who(const std::string& who);

 private:
  std::shared_ptr<Arena> previous_arena_;
  std::string previous_who_;
};

// Tensors that the calling thread has allocated so far, anywhere. Counted once a guard was made in
// this process.
int64_t tensor_allocations();

}  // namespace samebits
