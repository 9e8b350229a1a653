#pragma once

#include <bit>
#include <cstdint>

// NOTE [The gradient of a step]
//
// The gradient of a parameter over the n sequences of one optimizer step, apart from how the step
// is executed: packed into micro-batches of any size, or one sequence at a time.
//
// Groups. Sequences fall into G groups, G a power of two: group g has the sequences
// floor(g * n / G) to floor((g + 1) * n / G) - 1, in their order. A group without a sequence is +0
// and is added like any other.
//
// Within a group, each operator adds to a float32 sum that starts at +0, sequence after sequence:
//   linear_wgrad_     sum[n, k] = chain from C = sum[n, k] over the tokens of dy[t, n] * x[t, k]
//                     (linear.h). Under sm90 each sequence begins a new step of 16; what is missing
//                     in its last one is +0 in both operands. In float32 there is nothing to fill.
//   rms_norm_wgrad_   rms_norm.h: blocks of rows begin anew at each sequence, and the sums of
//                     blocks are added in ascending order
//   embedding_wgrad_  embedding.h: a row's tokens are added in ascending order
// So a micro-batch may end between any two sequences, and the next goes on with the sum. An sm90
// step of zeros leaves a sum as it is: operands may be padded, both of them, by whole steps.
// A NaN in a sum has the bits of linear.h.
//
// A weight that is used twice, as a tied embedding and head, has a sum for each use; the two are
// added once a group, before the groups are joined (tied_wgrad_: embedding.h).
//
// Groups are joined in float32 by the binary tree, ((g0 + g1) + (g2 + g3)) + ...: the last one is
// the gradient. A micro-batch may have all sequences of several groups, of an aligned power of two:
// its operators give the sum of that subtree, whatever `sum` held before. Where there are no master
// weights the gradient is rounded once, to the weight's dtype. The bits of a NaN that two groups
// make, infinities of both signs, are not stated.
//
// The loss and its parts, one float32 a sequence, are added in their order from +0 within a group,
// and groups by the same tree. The counts in them, tokens and sequences, are those of the whole
// step. A sequence without a generated token is counted among the sequences and takes its place in
// its group, but has no rows: it adds nothing to the gradient, the loss or its parts.
//
// `starts`, an argument of the operators: int32 [S + 1], ascending from 0 to at most the number of
// tokens T, sequence s has the tokens starts[s] to starts[s + 1] - 1, none perhaps. Tokens from its
// last value on are padding, of no sequence: whatever they hold, they add nothing. Or int32 [G, S + 1]
// for a power of two of groups, each with a row of its own that begins where the one before ends;
// of one group it is the same as [S + 1]. Without it all tokens are one sequence's. Tokens are the
// rows of linear_wgrad_; those of rms_norm_wgrad_ are, where there is a `starts`, dimension 1 of x
// [1, T, ...], and all rows of a token count as its sequence's.
namespace samebits {

// The first of n sequences that group `group` of `groups` has, or the next group that has one.
constexpr int64_t first_of_group(int64_t group, int64_t n, int64_t groups) {
  return group * n / groups;
}

// The tree as groups come: how many of the sums that wait are added, the latest first, to that of
// group `group`, before it waits itself. After the last group none waits. The same of subtrees of
// equal size, by their number.
constexpr int joins_after_group(int64_t group) {
  return std::countr_one(static_cast<uint64_t>(group));
}

}  // namespace samebits
