#pragma once

#include "harness/mesh/communicator.h"

namespace samebits {

// All n ranks in this process, on one device: collectives are copies and plain additions.
class LocalCommunicator final : public Communicator {
 public:
  explicit LocalCommunicator(int64_t size) : size_(size) {}

  std::vector<at::Tensor> all_gather(const std::vector<at::Tensor>& shards, int64_t dim,
                                     int64_t size) override;
  std::vector<at::Tensor> all_reduce(const std::vector<at::Tensor>& parts) override;
  std::vector<at::Tensor> reduce_scatter(const std::vector<at::Tensor>& parts,
                                         int64_t dim) override;
  std::vector<at::Tensor> all_to_all(const std::vector<at::Tensor>& shards, int64_t from,
                                     int64_t size, int64_t to) override;

 private:
  void check_count(const std::vector<at::Tensor>& tensors) const;
  void check_shards(const std::vector<at::Tensor>& shards, int64_t dim, int64_t size) const;
  void check_parts(const std::vector<at::Tensor>& parts) const;

  int64_t size_;  // the number of ranks
};

}  // namespace samebits
