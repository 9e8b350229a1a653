#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/SymInt.h>

#include <cstdint>

namespace samebits {

// How `size` indices are laid over n ranks: as torch.chunk does, so that the first shards are full,
// one may be short and the last ones empty. One formula for concrete and symbolic sizes; it adds no
// guard. Source of the semantics: torch/distributed/tensor/placement_types.py, _split_tensor and
// local_shard_size_and_offset.

// The number of indices of rank `rank`: max(0, min(c, size - rank * c)), c = ceil(size / n).
c10::SymInt shard_size(const c10::SymInt& size, int64_t n, int64_t rank);

// The first index of rank `rank`: min(size, rank * c). For an empty shard it is `size`.
c10::SymInt shard_offset(const c10::SymInt& size, int64_t n, int64_t rank);

// Rank `rank`'s share of a whole tensor along `dim`, a view.
at::Tensor share_of(const at::Tensor& whole, int64_t dim, int64_t n, int64_t rank);

// The number of indices when every rank pads its shard to the first's and all are gathered:
// n * ceil(size / n). Equal to `size` only where n divides it.
c10::SymInt gathered_with_padding(const c10::SymInt& size, int64_t n);

}  // namespace samebits
