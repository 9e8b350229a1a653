#pragma once

#include "repro/catalogue/catalogue.h"

namespace samebits {

// Who writes rows into a cache by slot, where padding has slot -1.
enum class SlotWrite {
  kByIndex,      // indexing, to which -1 is the last slot
  kSkipNegative  // a kernel that writes nothing for -1
};

// vllm#43810: float32 rows [1, t, 1, 8] written into two caches of 5 pages of 16 slots; the result
// is what is read at the slots of the first t rows. The third row is in the last slot, 79.
Subject rows_in_slots(SlotWrite write);

Repro pad_slot_minus_one();

}  // namespace samebits
