#pragma once

#include "harness/kernels/cuda/rows/launchers.h"
#include "harness/kernels/cuda/runtime/device.cuh"

namespace samebits::cuda {

// The row of the caches that a token's keys and values go to, or -1. `tells`: raises the fault.
__device__ inline int64_t find_slot(const KvWrite& write, int64_t token, bool tells, Fault* fault) {
  const int64_t slot = __ldcg(write.slots + token);
  if (slot >= -1 && slot < write.rows) return slot;
  if (tells) raise(fault, FaultKind::kSlot, token, slot, write.rows);
  return -1;
}

}  // namespace samebits::cuda
