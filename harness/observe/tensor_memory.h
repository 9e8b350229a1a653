#pragma once

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <cstdint>
#include <memory>

namespace samebits {

// Bytes that tensors on the CPU hold at once, as LibTorch's allocator tells whoever profiles: of
// the calling thread, while a guard lives. Weights that are mapped from a file are not allocated,
// and blocks that a graph pool reuses count once.
class TensorMemory {
 public:
  TensorMemory();

  // Counts for as long as what it returns lives. Guards do not nest.
  std::unique_ptr<c10::DebugInfoGuard> count();

  int64_t peak() const;  // the most at once since the last reset
  void reset_peak();     // to what is held now

  // From here on, what is allocated is counted apart, or no more. It stays what it was counted as
  // until it is freed.
  void count_apart(bool is_apart);
  int64_t peak_apart() const;  // the most at once since counting apart last began

 private:
  class Counter;
  std::shared_ptr<Counter> counter_;
};

}  // namespace samebits
