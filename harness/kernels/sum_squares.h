#pragma once

#include <stdint.h>

// The square of a norm.
//
//   sum_squares(x, dim, slice) -> float32 []
//
// x is bf16 or float32, of any shape. It is cut into slices of `slice` indices along `dim` (the
// last one may be shorter; slice 0: one slice). float32, one rounding an operation:
//   a slice's elements, in row-major order within the slice, are cut into blocks of
//   kSumSquaresBlock; a block is a strided sum (rms_norm.h) of x * x with kSumSquaresLanes partial
//   sums; the blocks' sums are combined by the pairwise tree, and the slices' sums likewise.
// Pairwise tree: neighbours (0, 1), (2, 3), ... are added, an odd last one is carried up, until one
// is left. Nothing at all gives +0.
//
// The rule for slices is that of linear.h: a shard that holds an aligned power of two of them is a
// subtree, so shards combined by the same tree have the bits of the whole.
namespace samebits {

constexpr int64_t kSumSquaresLanes = 256;
constexpr int64_t kSumSquaresBlock = 8192;

}  // namespace samebits
