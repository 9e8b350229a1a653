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

// n ranks in one dimension, of which some live in this process. Const after construction. Shared by
// the tensors laid over it; two meshes are the same only if they are the same object.
//
// A TorchScript class, "__torch__.torch.classes.samebits.DeviceMesh", so that it can be an argument
// of an operator.
class DeviceMesh final : public torch::CustomClassHolder {
 public:
  // `hosted`: the ranks of this process, ascending. Use the makers below.
  DeviceMesh(int64_t size, std::vector<int64_t> hosted, std::unique_ptr<Communicator> communicator,
             GatheredSize gathered_size);

  int64_t size() const { return size_; }
  const std::vector<int64_t>& hosted_ranks() const { return hosted_; }
  Communicator& communicator() const { return *communicator_; }
  // The rule of redistribute (dtensor/dtensor.h) on this mesh.
  GatheredSize gathered_size() const { return gathered_size_; }

 private:
  int64_t size_;
  std::vector<int64_t> hosted_;
  std::unique_ptr<Communicator> communicator_;
  GatheredSize gathered_size_;
};

// All `size` (one or more) ranks in this process.
c10::intrusive_ptr<DeviceMesh> make_local_mesh(int64_t size,
                                               GatheredSize gathered_size = GatheredSize::kNarrow);

// One rank in this process, that of the transport; the others in processes of their own, which call
// this too. Collectives on it are collective over all of them.
c10::intrusive_ptr<DeviceMesh> make_process_mesh(std::unique_ptr<Transport> transport,
                                                 GatheredSize gathered_size);

// Makes the class known to TorchScript's type system. Schemas that name it are parsed during static
// initialisation, whose order between files is not defined; so whoever registers one calls this
// first. Idempotent.
void register_device_mesh_class();

}  // namespace samebits
