#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace samebits {

// The collectives of one mesh of n ranks, over the tensors of the ranks that live in this process:
// every argument and every result has one tensor for each hosted rank, in rank order. A rank's
// share of a dimension follows shard.h, uneven and empty shares included.
//
// Reductions have one order, whatever carries the bytes. The n contributions are gathered and then
// summed in their own dtype by a fixed binary tree over the ranks: neighbours in pairs, pairs of
// pairs, and so on, an odd one carried up unchanged: ((r0 + r1) + (r2 + r3)) + r4. It is the
// upper part of the tree that linear.h states for slices, so a sum that TP splits into aligned
// powers of two of slices has the bits of the whole.
//
// Results are contiguous, owned by the caller, and never share storage with an argument or with
// each other: ranks do not see each other's writes. Differing numbers of tensors, dtypes or shapes
// that do not fit throw c10::Error. Implementations need not be safe to call from several threads.
class Communicator {
 public:
  virtual ~Communicator() = default;

  // Rank r gives its shard along `dim` of a tensor of `size` there. Every rank gets the whole.
  virtual std::vector<at::Tensor> all_gather(const std::vector<at::Tensor>& shards, int64_t dim,
                                             int64_t size) = 0;

  // Every rank gives a tensor of one shape and gets the sum of all.
  virtual std::vector<at::Tensor> all_reduce(const std::vector<at::Tensor>& parts) = 0;

  // Every rank gives a tensor of one shape; rank r gets the sum's shard along `dim`.
  virtual std::vector<at::Tensor> reduce_scatter(const std::vector<at::Tensor>& parts,
                                                 int64_t dim) = 0;

  // Rank r gives its shard along `from` of a tensor of `size` there and gets the shard along `to`.
  virtual std::vector<at::Tensor> all_to_all(const std::vector<at::Tensor>& shards, int64_t from,
                                             int64_t size, int64_t to) = 0;
};

}  // namespace samebits
