#pragma once

#include <cstdint>

// A value on the card that an operator refuses: a position outside the table, a page outside the
// cache. A kernel cannot throw, so it notes the first one in memory that the host sees, and goes on
// with what is safe. Whoever next reads results calls throw_fault(), and gets the words that the
// CPU's kernels use.
namespace samebits::cuda {

enum class FaultKind : int {
  kNone = 0,
  kRopePosition,
  kTarget,
  kGrpoTokens,
  kSampleKey,
  kAdamwStep,
  kSequences,
  kStarts,
  kKeys,
  kPages,
  kPage,
  kSlot,
  kDigestedRows,
  kDecodeSlot,
  kDecodeRow,
  kDecodeWait,
};

struct Fault {
  int* claim;     // on the card: 0 until a thread takes the record
  int kind;       // FaultKind
  int64_t index;  // of the row, token, sequence
  int64_t found;
  int64_t limit;
};

// The process's fault record, in pinned host memory that every card sees; never freed.
Fault* fault_record();

// Throws c10::Error in one line, and clears the record, if a kernel that has finished raised a
// fault.
void throw_fault();

}  // namespace samebits::cuda
