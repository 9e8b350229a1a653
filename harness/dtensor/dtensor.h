#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/SymIntArrayRef.h>

#include <vector>

#include "harness/dtensor/dtensor_impl.h"
#include "harness/dtensor/placements.h"
#include "harness/mesh/device_mesh.h"

namespace samebits {

// Tensors laid over a mesh. Source of the semantics: torch/distributed/tensor/_api.py and
// _redistribute.py. A plain tensor where a DTensor is expected, or the other
// way round, throws c10::Error.

bool is_dtensor(const at::Tensor& tensor);
const DTensorSpec& spec_of(const at::Tensor& dtensor);

// The local tensors of the hosted ranks, in rank order, without autograd; empty if abstract.
const std::vector<at::Tensor>& locals_of(const at::Tensor& dtensor);

// Wraps locals (shared, not copied) as a DTensor of the given global sizes, without autograd. There
// is one local for each hosted rank, of the shard's size, or none (abstract).
at::Tensor make_dtensor(const DTensorSpec& spec, c10::SymIntArrayRef sizes, c10::ScalarType dtype,
                        std::vector<at::Tensor> locals);

// An abstract one, which has no locals: its device, and what it answers to is_contiguous().
at::Tensor make_abstract_dtensor(const DTensorSpec& spec, c10::SymIntArrayRef sizes,
                                 c10::ScalarType dtype, c10::Device device, bool contiguous = true);

// Lays a plain tensor over the mesh: copies, never aliases of `whole` or of each other. Shard or
// Replicate. The result is a leaf; no gradient flows to `whole`.
at::Tensor distribute_tensor(const at::Tensor& whole, const c10::intrusive_ptr<DeviceMesh>& mesh,
                             const Placements& placements);

// The following are operators with gradients (dtensor/ops.cpp: samebits::from_local, redistribute,
// to_local, full_tensor).

// One plain tensor for each hosted rank, taken as the parts of one tensor. Along a Shard the global
// size is the sum of the locals'; they must be its chunks (mesh/shard.h), anything else throws.
// Shards of other processes are taken to be as long as this one's, as upstream takes them
// (compute_global_tensor_info in torch/distributed/tensor/_utils.py). The
// gradient is redistributed to `placements` (Partial: Replicate), and each rank gets its local.
at::Tensor from_local(at::TensorList locals, const c10::intrusive_ptr<DeviceMesh>& mesh,
                      const Placements& placements);

// The same value in other placements. To Partial is an error unless it is Partial already. The
// gradient is redistributed to the source's placements (Partial: Replicate, unless the gradient is
// Partial itself along that dimension of the mesh).
//
// From Shard to Replicate the ranks' shards, padded to one size, are gathered, and the padding is
// cut off again. The mesh says when: GatheredSize::kNarrow always, the others only where the
// size does not divide by the ranks, as upstream did up to torch 2.11 (_unpad in
// torch/distributed/tensor/placement_types.py; pytorch#175690). On concrete sizes both are the
// same. A trace asks the condition once, of the sizes it sees: what it finds stays in the graph,
// and only a guard tells.
at::Tensor redistribute(const at::Tensor& dtensor, const Placements& placements);

// The locals of the hosted ranks, as tensors that share their data. Gradients of the locals are
// taken as the gradient's parts in the same placement (Partial: Replicate); a missing one is zero.
std::vector<at::Tensor> to_local(const at::Tensor& dtensor);

// The whole value, a plain tensor that shares no data. The gradient is the whole's on every rank,
// redistributed as by redistribute().
at::Tensor full_tensor(const at::Tensor& dtensor);

}  // namespace samebits
