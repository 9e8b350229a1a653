#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/intrusive_ptr.h>

#include <cstdint>
#include <vector>

#include "harness/mesh/device_mesh.h"

namespace samebits {

// How one model speaks to one mesh. Without a mesh every tensor is plain and every method gives
// back what it was given, so the model is written once and TP 1 is the program that anybody would
// write without DTensor. With a mesh, weights and activations are DTensors.
class TensorParallel {
 public:
  TensorParallel() = default;
  explicit TensorParallel(c10::intrusive_ptr<DeviceMesh> mesh);

  int64_t size() const;
  int64_t hosted() const;  // how many of the ranks live in this process
  const c10::intrusive_ptr<DeviceMesh>& mesh() const { return mesh_; }  // null: none

  // A whole weight, laid over the mesh: split along `dim`, or on every rank.
  at::Tensor distribute_shard(const at::Tensor& weight, int64_t dim) const;
  at::Tensor distribute_replicate(const at::Tensor& weight) const;

  // An activation, redistributed. With GatheredSize::kConsumer a gathered one is narrowed to the
  // size that it had before, whatever the gather gave: torchtitan's workaround for pytorch#175690,
  // which it has in its attention.
  at::Tensor to_shard(const at::Tensor& x, int64_t dim) const;
  at::Tensor to_replicate(const at::Tensor& x) const;

  // The local tensors of the hosted ranks, in rank order, and back: locals split along `dim`.
  std::vector<at::Tensor> to_local(const at::Tensor& x) const;
  at::Tensor from_local_shard(std::vector<at::Tensor> locals, int64_t dim) const;

  // The whole value as a plain tensor.
  at::Tensor to_plain(const at::Tensor& x) const;

 private:
  c10::intrusive_ptr<DeviceMesh> mesh_;  // null: plain tensors
};

}  // namespace samebits
