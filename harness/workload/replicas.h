#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "harness/mesh/process_communicator.h"

namespace samebits {

// Data parallelism: the processes that hold what this one holds, and share the sequences of a step
// with it. Where one process hosts all of an arm there is nobody to share with: it does the work of
// every replica, in their order, which gives the same bits (kernels/step_gradient.h).
//
// Methods that exchange anything are collective over the replicas.
class Replicas {
 public:
  Replicas() = default;
  // Null: nobody.
  explicit Replicas(std::unique_ptr<Transport> transport);

  int64_t size() const { return communicator_ ? communicator_->transport().size() : 1; }
  int64_t index() const { return communicator_ ? communicator_->transport().rank() : 0; }

  // Which of n sequences, or groups of them, are this one's: first and one past the last.
  std::pair<int64_t, int64_t> share_of(int64_t n) const;

  // The most that anybody has of n.
  int64_t largest_share(int64_t n) const { return (n + size() - 1) / size(); }

  // Everybody's values, one replica after the other.
  template <typename T>
  std::vector<T> gather(const std::vector<T>& mine) const {
    static_assert(std::is_trivially_copyable_v<T>);
    if (!communicator_) return mine;
    const std::vector<uint8_t> all = gather_bytes(mine.data(), mine.size() * sizeof(T));
    std::vector<T> values(all.size() / sizeof(T));
    if (!all.empty()) std::memcpy(values.data(), all.data(), all.size());
    return values;
  }

  // Adds everybody's tensors, one by one, by the tree of mesh/communicator.h; in place, so that
  // whoever holds them by address has the sums. Plain tensors or DTensors, in which case each rank
  // of a replica adds its own shard.
  void sum(const std::vector<at::Tensor>& tensors) const;

  // This one's share of a tensor's elements, in row-major order and laid out as mesh/shard.h says:
  // views of one dimension. Of a DTensor, of the part of each rank that this process hosts.
  std::vector<at::Tensor> shares_of(const at::Tensor& tensor) const;

  // Everybody has written its shares of the tensors, which share no storage: now all have all of
  // them, in place.
  void gather_shares(const std::vector<at::Tensor>& tensors) const;

 private:
  std::vector<uint8_t> gather_bytes(const void* data, size_t bytes) const;

  std::unique_ptr<ProcessCommunicator> communicator_;
};

inline const Replicas kOneReplica;

}  // namespace samebits
