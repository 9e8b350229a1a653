#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "harness/dtensor/dtensor_impl.h"

namespace samebits {

// The locals of the hosted ranks, brought from one placement to another by the mesh's
// communicators. `sizes` are the whole's. Equal placements give the same tensors back; otherwise
// the results share no storage with the arguments. From Shard or Replicate to Partial throws
// c10::Error. The path below autograd, for the operator redistribute and for the handler.
//
// One dimension of the mesh after the other, as upstream (generate_greedy_transform_infos in
// torch/distributed/tensor/_redistribute.py): from the last to the first, where what is cut again
// by a later dimension is gathered there before; then from the first to the last, to cut what is
// left. So pending sums are ended in one order whatever comes after them.
std::vector<at::Tensor> redistribute_locals(const std::vector<at::Tensor>& locals,
                                            const DeviceMesh& mesh, at::IntArrayRef sizes,
                                            const Placements& from, const Placements& to);

// The sizes of the whole after redistribute: the same, or, where shards are gathered on a mesh of
// one dimension and the padding is left, n * ceil(size / n) along their dimension.
std::vector<c10::SymInt> redistributed_sizes(c10::SymIntArrayRef sizes, const DTensorSpec& from,
                                             const Placements& to, bool unpad);

// The sizes of the whole of which `locals` are the hosted ranks' parts: along what is sharded, the
// sum of all, those of other processes taken to be as long as this one's.
std::vector<c10::SymInt> sizes_of_parts(at::TensorList locals, const DTensorSpec& spec);

// The sizes of rank `rank`'s local tensor.
std::vector<c10::SymInt> local_sizes(c10::SymIntArrayRef sizes, const DTensorSpec& spec,
                                     int64_t rank);

}  // namespace samebits
