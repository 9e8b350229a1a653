#include "harness/model/tensor_parallel.h"

#include "harness/dtensor/dtensor.h"

namespace samebits {

TensorParallel::TensorParallel(c10::intrusive_ptr<DeviceMesh> mesh) : mesh_(std::move(mesh)) {}

int64_t TensorParallel::size() const { return mesh_ ? mesh_->size() : 1; }

int64_t TensorParallel::hosted() const {
  return mesh_ ? static_cast<int64_t>(mesh_->hosted_ranks().size()) : 1;
}

at::Tensor TensorParallel::distribute_shard(const at::Tensor& weight, int64_t dim) const {
  return mesh_ ? distribute_tensor(weight, mesh_, Placement::shard(dim)) : weight;
}

at::Tensor TensorParallel::distribute_replicate(const at::Tensor& weight) const {
  return mesh_ ? distribute_tensor(weight, mesh_, Placement::replicate()) : weight;
}

at::Tensor TensorParallel::to_shard(const at::Tensor& x, int64_t dim) const {
  return mesh_ ? redistribute(x, Placement::shard(dim)) : x;
}

at::Tensor TensorParallel::to_replicate(const at::Tensor& x) const {
  if (!mesh_) return x;
  at::Tensor gathered = redistribute(x, Placement::replicate());
  const Placement from = spec_of(x).placement();
  if (mesh_->gathered_size() != GatheredSize::kConsumer || !from.is_shard()) return gathered;
  return gathered.slice_symint(from.dim(), 0, x.sym_size(from.dim()));
}

std::vector<at::Tensor> TensorParallel::to_local(const at::Tensor& x) const {
  return mesh_ ? samebits::to_local(x) : std::vector<at::Tensor>{x};
}

at::Tensor TensorParallel::from_local_shard(std::vector<at::Tensor> locals, int64_t dim) const {
  return mesh_ ? from_local(locals, mesh_, Placement::shard(dim)) : locals.front();
}

at::Tensor TensorParallel::to_plain(const at::Tensor& x) const {
  return mesh_ && is_dtensor(x) ? full_tensor(x) : x;
}

}  // namespace samebits
