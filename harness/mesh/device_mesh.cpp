#include "harness/mesh/device_mesh.h"

#include <c10/util/Exception.h>
#include <torch/custom_class.h>

#include <numeric>
#include <utility>

#include "harness/mesh/local_communicator.h"
#include "harness/mesh/process_communicator.h"

namespace samebits {
namespace {

// Programs that register no such schema still put meshes into IValues.
const bool kRegistered = (register_device_mesh_class(), true);

}  // namespace

DeviceMesh::DeviceMesh(int64_t size, std::vector<int64_t> hosted,
                       std::unique_ptr<Communicator> communicator, GatheredSize gathered_size)
    : size_(size),
      hosted_(std::move(hosted)),
      communicator_(std::move(communicator)),
      gathered_size_(gathered_size) {
  TORCH_CHECK(size_ >= 1, "DeviceMesh: found ", size_, " ranks, expected one or more");
  TORCH_CHECK(!hosted_.empty() && hosted_.front() >= 0 && hosted_.back() < size_,
              "DeviceMesh: the hosted ranks must be one or more of the mesh's ", size_);
  for (size_t i = 1; i < hosted_.size(); ++i) {
    TORCH_CHECK(hosted_[i - 1] < hosted_[i], "DeviceMesh: hosted ranks must ascend");
  }
  TORCH_CHECK(communicator_, "DeviceMesh: found no communicator");
}

c10::intrusive_ptr<DeviceMesh> make_local_mesh(int64_t size, GatheredSize gathered_size) {
  TORCH_CHECK(size >= 1, "make_local_mesh: found ", size, " ranks, expected one or more");
  std::vector<int64_t> hosted(static_cast<size_t>(size));
  std::iota(hosted.begin(), hosted.end(), int64_t{0});
  return c10::make_intrusive<DeviceMesh>(size, std::move(hosted),
                                         std::make_unique<LocalCommunicator>(size), gathered_size);
}

c10::intrusive_ptr<DeviceMesh> make_process_mesh(std::unique_ptr<Transport> transport,
                                                 GatheredSize gathered_size) {
  const int64_t size = transport->size();
  const int64_t rank = transport->rank();
  return c10::make_intrusive<DeviceMesh>(
      size, std::vector<int64_t>{rank}, std::make_unique<ProcessCommunicator>(std::move(transport)),
      gathered_size);
}

void register_device_mesh_class() {
  static const auto registration =
      torch::class_<DeviceMesh>("samebits", "DeviceMesh").def("size", &DeviceMesh::size);
  (void)registration;
}

}  // namespace samebits
