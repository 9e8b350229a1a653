#include "harness/mesh/device_mesh.h"

#include <c10/util/Exception.h>
#include <torch/custom_class.h>

#include <map>
#include <numeric>
#include <utility>

#include "harness/mesh/local_communicator.h"
#include "harness/mesh/process_communicator.h"

namespace samebits {
namespace {

// Programs that register no such schema still put meshes into IValues.
const bool kRegistered = (register_device_mesh_class(), true);

}  // namespace

DeviceMesh::DeviceMesh(std::vector<MeshDim> dims, std::vector<int64_t> hosted,
                       GatheredSize gathered_size)
    : dims_(std::move(dims)), size_(1), hosted_(std::move(hosted)), gathered_size_(gathered_size) {
  TORCH_CHECK(!dims_.empty(), "DeviceMesh: found no dimensions");
  for (const MeshDim& dim : dims_) {
    TORCH_CHECK(dim.size >= 1, "DeviceMesh: found ", dim.size, " ranks, expected one or more");
    TORCH_CHECK(dim.communicator, "DeviceMesh: found no communicator");
    size_ *= dim.size;
  }
  TORCH_CHECK(!hosted_.empty() && hosted_.front() >= 0 && hosted_.back() < size_,
              "DeviceMesh: the hosted ranks must be one or more of the mesh's ", size_);
  for (size_t i = 1; i < hosted_.size(); ++i) {
    TORCH_CHECK(hosted_[i - 1] < hosted_[i], "DeviceMesh: hosted ranks must ascend");
  }
}

int64_t DeviceMesh::stride(int64_t mesh_dim) const {
  int64_t stride = 1;
  for (int64_t d = mesh_dim + 1; d < dims(); ++d) stride *= size(d);
  return stride;
}

int64_t DeviceMesh::coordinate(int64_t rank, int64_t mesh_dim) const {
  return rank / stride(mesh_dim) % size(mesh_dim);
}

std::vector<std::vector<size_t>> DeviceMesh::groups(int64_t mesh_dim) const {
  std::map<int64_t, std::vector<size_t>> by_first;  // the rank of the group at coordinate 0
  for (size_t i = 0; i < hosted_.size(); ++i) {
    by_first[hosted_[i] - coordinate(hosted_[i], mesh_dim) * stride(mesh_dim)].push_back(i);
  }
  std::vector<std::vector<size_t>> groups;
  for (auto& [first, members] : by_first) groups.push_back(std::move(members));
  return groups;
}

namespace {

c10::intrusive_ptr<DeviceMesh> make_local(const std::vector<int64_t>& sizes,
                                          GatheredSize gathered_size) {
  int64_t ranks = 1;
  std::vector<MeshDim> dims;
  for (const int64_t size : sizes) {
    TORCH_CHECK(size >= 1, "a local mesh: found ", size, " ranks, expected one or more");
    ranks *= size;
    dims.push_back({size, std::make_unique<LocalCommunicator>(size)});
  }
  std::vector<int64_t> hosted(static_cast<size_t>(ranks));
  std::iota(hosted.begin(), hosted.end(), int64_t{0});
  return c10::make_intrusive<DeviceMesh>(std::move(dims), std::move(hosted), gathered_size);
}

c10::intrusive_ptr<DeviceMesh> make_process(std::vector<std::unique_ptr<Transport>> transports,
                                            GatheredSize gathered_size) {
  int64_t rank = 0;
  std::vector<MeshDim> dims;
  for (std::unique_ptr<Transport>& transport : transports) {
    const int64_t size = transport->size();
    rank = rank * size + transport->rank();
    dims.push_back({size, std::make_unique<ProcessCommunicator>(std::move(transport))});
  }
  return c10::make_intrusive<DeviceMesh>(std::move(dims), std::vector<int64_t>{rank},
                                         gathered_size);
}

}  // namespace

c10::intrusive_ptr<DeviceMesh> make_local_mesh(int64_t size, GatheredSize gathered_size) {
  return make_local({size}, gathered_size);
}

c10::intrusive_ptr<DeviceMesh> make_local_grid(const std::vector<int64_t>& sizes) {
  return make_local(sizes, GatheredSize::kNarrow);
}

c10::intrusive_ptr<DeviceMesh> make_process_mesh(std::unique_ptr<Transport> transport,
                                                 GatheredSize gathered_size) {
  std::vector<std::unique_ptr<Transport>> one;
  one.push_back(std::move(transport));
  return make_process(std::move(one), gathered_size);
}

c10::intrusive_ptr<DeviceMesh> make_process_grid(
    std::vector<std::unique_ptr<Transport>> transports) {
  return make_process(std::move(transports), GatheredSize::kNarrow);
}

void register_device_mesh_class() {
  static const auto registration =
      torch::class_<DeviceMesh>("samebits", "DeviceMesh")
          .def("size", [](const c10::intrusive_ptr<DeviceMesh>& mesh) { return mesh->size(); });
  (void)registration;
}

}  // namespace samebits
