#include "harness/mesh/local_communicator.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/clone.h>
#include <c10/util/Exception.h>

#include "harness/mesh/shard.h"
#include "harness/mesh/tree_sum.h"

namespace samebits {
std::vector<at::Tensor> LocalCommunicator::all_gather(const std::vector<at::Tensor>& shards,
                                                      int64_t dim, int64_t size) {
  check_shards(shards, dim, size);
  std::vector<at::Tensor> wholes;
  for (int64_t rank = 0; rank < size_; ++rank) wholes.push_back(at::cat(shards, dim).contiguous());
  return wholes;
}

std::vector<at::Tensor> LocalCommunicator::all_reduce(const std::vector<at::Tensor>& parts) {
  check_parts(parts);
  std::vector<at::Tensor> sums{tree_sum(parts)};
  for (int64_t rank = 1; rank < size_; ++rank) sums.push_back(sums[0].clone());
  return sums;
}

std::vector<at::Tensor> LocalCommunicator::reduce_scatter(const std::vector<at::Tensor>& parts,
                                                          int64_t dim) {
  check_parts(parts);
  std::vector<at::Tensor> sums;
  for (int64_t rank = 0; rank < size_; ++rank) {
    std::vector<at::Tensor> shares;
    for (const at::Tensor& part : parts) shares.push_back(share_of(part, dim, size_, rank));
    sums.push_back(tree_sum(std::move(shares)));
  }
  return sums;
}

std::vector<at::Tensor> LocalCommunicator::all_to_all(const std::vector<at::Tensor>& shards,
                                                      int64_t from, int64_t size, int64_t to) {
  check_shards(shards, from, size);
  std::vector<at::Tensor> received;
  for (int64_t rank = 0; rank < size_; ++rank) {
    std::vector<at::Tensor> pieces;
    for (const at::Tensor& shard : shards) pieces.push_back(share_of(shard, to, size_, rank));
    received.push_back(at::cat(pieces, from).contiguous());
  }
  return received;
}

void LocalCommunicator::check_count(const std::vector<at::Tensor>& tensors) const {
  TORCH_CHECK(static_cast<int64_t>(tensors.size()) == size_, "collective on a mesh of ", size_,
              " ranks: found ", tensors.size(), " tensors, expected one a rank");
}

void LocalCommunicator::check_shards(const std::vector<at::Tensor>& shards, int64_t dim,
                                     int64_t size) const {
  check_count(shards);
  for (int64_t rank = 0; rank < size_; ++rank) {
    const int64_t expected = shard_size(size, size_, rank).expect_int();
    const at::Tensor& shard = shards[rank];
    TORCH_CHECK(dim >= 0 && dim < shard.dim(), "collective along dimension ", dim,
                ": found a tensor of ", shard.dim(), " dimensions");
    TORCH_CHECK(shard.size(dim) == expected, "the shard of rank ", rank, " along dimension ", dim,
                ": found size ", shard.size(dim), ", expected ", expected, " of ", size);
    TORCH_CHECK(shard.scalar_type() == shards[0].scalar_type(), "the shard of rank ", rank,
                ": found dtype ", shard.scalar_type(), ", expected ", shards[0].scalar_type());
  }
}

void LocalCommunicator::check_parts(const std::vector<at::Tensor>& parts) const {
  check_count(parts);
  for (int64_t rank = 0; rank < size_; ++rank) {
    TORCH_CHECK(parts[rank].sizes() == parts[0].sizes() &&
                    parts[rank].scalar_type() == parts[0].scalar_type(),
                "a sum over ranks: rank ", rank, " has ", parts[rank].scalar_type(), " ",
                parts[rank].sizes(), ", rank 0 has ", parts[0].scalar_type(), " ",
                parts[0].sizes());
  }
}

}  // namespace samebits
