#pragma once

#include <ATen/core/ivalue.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "harness/mesh/communicator.h"
#include "harness/mesh/mesh_settings.h"
#include "harness/mesh/transport.h"

namespace samebits {

// A dimension of a mesh: how many ranks lie along it, and their collectives.
struct MeshDim {
  int64_t size;
  std::unique_ptr<Communicator> communicator;
};

// Ranks in a grid of one dimension or more, of which some live in this process. Ranks that differ
// in the last dimension alone are neighbours, as in torch's init_device_mesh. Const after
// construction. Shared by the tensors laid over it; two meshes are the same only if they are the
// same object.
//
// A TorchScript class, "__torch__.torch.classes.samebits.DeviceMesh", so that it can be an argument
// of an operator.
class DeviceMesh final : public torch::CustomClassHolder {
 public:
  // `hosted`: the ranks of this process, ascending. Along each dimension either all of a group
  // (groups() below) are hosted or one is, as the dimension's communicator expects it. Use the
  // makers below.
  DeviceMesh(std::vector<MeshDim> dims, std::vector<int64_t> hosted, GatheredSize gathered_size);

  int64_t size() const { return size_; }
  int64_t dims() const { return static_cast<int64_t>(dims_.size()); }
  int64_t size(int64_t mesh_dim) const { return dims_[static_cast<size_t>(mesh_dim)].size; }
  // Where a rank stands along one dimension.
  int64_t coordinate(int64_t rank, int64_t mesh_dim) const;

  const std::vector<int64_t>& hosted_ranks() const { return hosted_; }
  // The hosted ranks that differ in `mesh_dim` alone, group by group, as indices into
  // hosted_ranks(): the collectives of that dimension are between the members of one group.
  std::vector<std::vector<size_t>> groups(int64_t mesh_dim) const;
  Communicator& communicator(int64_t mesh_dim = 0) const {
    return *dims_[static_cast<size_t>(mesh_dim)].communicator;
  }
  // The rule of redistribute (dtensor/dtensor.h) on this mesh; kNarrow on one of several
  // dimensions.
  GatheredSize gathered_size() const { return gathered_size_; }

 private:
  int64_t stride(int64_t mesh_dim) const;

  std::vector<MeshDim> dims_;
  int64_t size_;
  std::vector<int64_t> hosted_;
  GatheredSize gathered_size_;
};

// All `size` (one or more) ranks in this process.
c10::intrusive_ptr<DeviceMesh> make_local_mesh(int64_t size,
                                               GatheredSize gathered_size = GatheredSize::kNarrow);

// Likewise, in a grid of these sizes.
c10::intrusive_ptr<DeviceMesh> make_local_grid(const std::vector<int64_t>& sizes);

// One rank in this process, that of the transport; the others in processes of their own, which call
// this too. Collectives on it are collective over all of them.
c10::intrusive_ptr<DeviceMesh> make_process_mesh(std::unique_ptr<Transport> transport,
                                                 GatheredSize gathered_size);

// Likewise, in a grid: a transport for each dimension, between the ranks that differ in it alone.
c10::intrusive_ptr<DeviceMesh> make_process_grid(
    std::vector<std::unique_ptr<Transport>> transports);

// Makes the class known to TorchScript's type system. Schemas that name it are parsed during static
// initialisation, whose order between files is not defined; so whoever registers one calls this
// first. Idempotent.
void register_device_mesh_class();

}  // namespace samebits
