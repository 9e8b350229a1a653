#pragma once

// What observations of padded tensors are made of, where the tensors lie: many in one launch.
//
//   digest_rows(values, widths, rows, sizes) -> int64 [n, 2]
//
// Row k holds the two sums of digest_sums.h over the first rows of values[k], of `widths[k]`
// elements each: `sizes[rows[k]]` rows, all of them where rows[k] is -1. `sizes` is int64 [m] where
// the values are, and is read by the launch, so one that was recorded digests as many rows as there
// are when it runs again. The n values, kMaxDigestedValues at most, may differ in dtype. It has no
// gradient.
//
// On a card that captures, the launch is on a stream of its own (cuda/side_stream.h): the values
// must not be written again, and nothing of the capture may take the result.
//
// A size that is negative or more than the value has throws c10::Error from the launch; on a card
// it is a fault (cuda/fault.h).

#include <cstdint>

namespace samebits {

// What one launch takes.
inline constexpr int64_t kMaxDigestedValues = 512;

}  // namespace samebits
