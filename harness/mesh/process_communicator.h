#pragma once

#include <memory>

#include "harness/mesh/communicator.h"
#include "harness/mesh/transport.h"

namespace samebits {

// One rank in this process, the others in processes of their own: bytes are gathered by a
// transport, sums are tree_sum.h's. Large sums go in slices: each rank sums one slice of all
// contributions and gives it to the others, which moves 2 bytes for each byte of the result instead
// of one for each rank. The order of additions of an element is the same.
//
// Tensors on another device than the transport's are copied to it and back, which waits for a card.
class ProcessCommunicator final : public Communicator {
 public:
  explicit ProcessCommunicator(std::unique_ptr<Transport> transport);

  std::vector<at::Tensor> all_gather(const std::vector<at::Tensor>& shards, int64_t dim,
                                     int64_t size) override;
  std::vector<at::Tensor> all_reduce(const std::vector<at::Tensor>& parts) override;
  std::vector<at::Tensor> reduce_scatter(const std::vector<at::Tensor>& parts,
                                         int64_t dim) override;
  std::vector<at::Tensor> all_to_all(const std::vector<at::Tensor>& shards, int64_t from,
                                     int64_t size, int64_t to) override;

  const Transport& transport() const { return *transport_; }

 private:
  at::Tensor gathered(const at::Tensor& given);   // [k] -> [n, k]
  at::Tensor exchanged(const at::Tensor& given);  // [n, k] -> [n, k]

  std::unique_ptr<Transport> transport_;
  int64_t n_;
  int64_t rank_;
};

}  // namespace samebits
