#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "harness/dtensor/placement.h"
#include "harness/mesh/device_mesh.h"

namespace samebits {

// The locals of the hosted ranks, brought from one placement to another by the mesh's communicator.
// `sizes` are the whole's. Equal placements give the same tensors back; otherwise the results share
// no storage with the arguments. From Shard or Replicate to Partial throws c10::Error. The path
// below autograd, for the operator redistribute and for the handler.
std::vector<at::Tensor> redistribute_locals(const std::vector<at::Tensor>& locals,
                                            const DeviceMesh& mesh, at::IntArrayRef sizes,
                                            Placement from, Placement to);

// The sizes of the whole after redistribute: the same, or, where shards are gathered and the
// padding is left, n * ceil(size / n) along their dimension.
std::vector<c10::SymInt> redistributed_sizes(c10::SymIntArrayRef sizes, Placement from,
                                             Placement to, int64_t n, bool unpad);

// The whole's size along `dim`, of which `locals` are the hosted ranks' shards: the sum of all,
// those of other processes taken to be as long as this one's.
c10::SymInt size_of_parts(at::TensorList locals, int64_t dim, const DeviceMesh& mesh);

// The sizes of rank `rank`'s local tensor.
std::vector<c10::SymInt> local_sizes(c10::SymIntArrayRef sizes, Placement placement, int64_t n,
                                     int64_t rank);

}  // namespace samebits
