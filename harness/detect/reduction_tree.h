#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace samebits {

// An order in which the contributions of n ranks are summed: a binary tree whose leaves are the
// ranks. Addition rounds and commutes, so orders that differ in sides alone are one.
struct ReductionTree {
  int64_t rank = 0;                   // of a leaf
  std::vector<ReductionTree> halves;  // two; none: a leaf

  std::string str() const;  // "((r0 + r1) + r2)"

  // Every sum rounds to the dtype of the contributions, one a rank.
  at::Tensor sum(const std::vector<at::Tensor>& contributions) const;
};

// Neighbours in pairs, pairs of pairs, an odd one carried up: the order of a mesh (communicator.h).
ReductionTree pairwise_tree(int64_t ranks);

// One after the other from rank `first` on, around the ring.
ReductionTree chain_from(int64_t first, int64_t ranks);

// Every order there is, each once: 1 of two ranks, 3 of three, 15, 105, 945 of six.
std::vector<ReductionTree> all_reduction_trees(int64_t ranks);

// One a rank, bfloat16 [64]: large and small numbers of both signs, for which no two orders of up
// to six ranks give the same bits.
std::vector<at::Tensor> ill_conditioned_contributions(int64_t ranks);

}  // namespace samebits
