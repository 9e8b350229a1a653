#pragma once

#include "repro/catalogue/catalogue.h"

namespace samebits {

// By which algorithm a simulated library sums over ranks. Every hop rounds to the message's dtype.
enum class SumAlgorithm {
  kTree,   // one binary tree, whatever the message
  kRing,   // the message in one chunk a rank; chunk c is a chain from rank c around the ring
  kBySize  // the tree for messages up to 64 bytes, the ring for longer ones
};

// The sum of contributions [ranks, ...] over their first dimension, as an operator
// (samebits_repro::sum_over_ranks).
at::Tensor sum_over_ranks(const at::Tensor& contributions, SumAlgorithm algorithm);

// sglang#34159: partial sums bfloat16 [4, s, 4] of a row-parallel layer over four ranks, each row
// 256 on one rank and 1 on the others, all-reduced.
Subject all_reduced_rows(SumAlgorithm algorithm);

Repro allreduce_order_depends_on_size();

}  // namespace samebits
