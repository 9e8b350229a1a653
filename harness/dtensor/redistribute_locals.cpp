#include "harness/dtensor/redistribute_locals.h"

#include <ATen/ops/clone.h>
#include <c10/util/Exception.h>

#include "harness/mesh/shard.h"

namespace samebits {
namespace {

std::vector<at::Tensor> own_shards(const std::vector<at::Tensor>& wholes, const DeviceMesh& mesh,
                                   int64_t dim) {
  std::vector<at::Tensor> shards;
  for (size_t i = 0; i < wholes.size(); ++i) {
    shards.push_back(share_of(wholes[i], dim, mesh.size(), mesh.hosted_ranks()[i])
                         .clone(at::MemoryFormat::Contiguous));
  }
  return shards;
}

}  // namespace

std::vector<at::Tensor> redistribute_locals(const std::vector<at::Tensor>& locals,
                                            const DeviceMesh& mesh, at::IntArrayRef sizes,
                                            Placement from, Placement to) {
  if (from == to) return locals;
  TORCH_CHECK(!to.is_partial(), "redistribute from ", from.text(), " to ", to.text(),
              ": a value is never split into summands");
  if (from.is_replicate()) return own_shards(locals, mesh, to.dim());
  Communicator& communicator = mesh.communicator();
  if (from.is_partial()) {
    return to.is_replicate() ? communicator.all_reduce(locals)
                             : communicator.reduce_scatter(locals, to.dim());
  }
  const int64_t size = sizes[static_cast<size_t>(from.dim())];
  return to.is_replicate() ? communicator.all_gather(locals, from.dim(), size)
                           : communicator.all_to_all(locals, from.dim(), size, to.dim());
}

std::vector<c10::SymInt> redistributed_sizes(c10::SymIntArrayRef sizes, Placement from,
                                             Placement to, int64_t n, bool unpad) {
  std::vector<c10::SymInt> result = sizes.vec();
  if (!unpad && from.is_shard() && to.is_replicate()) {
    auto& size = result[static_cast<size_t>(from.dim())];
    size = gathered_with_padding(size, n);
  }
  return result;
}

c10::SymInt size_of_parts(at::TensorList locals, int64_t dim, const DeviceMesh& mesh) {
  const auto elsewhere = mesh.size() - static_cast<int64_t>(locals.size());
  c10::SymInt size = 0;
  for (const at::Tensor& local : locals) size = size + local.sym_size(dim);
  return elsewhere == 0 ? size : size + locals[0].sym_size(dim) * elsewhere;
}

std::vector<c10::SymInt> local_sizes(c10::SymIntArrayRef sizes, Placement placement, int64_t n,
                                     int64_t rank) {
  std::vector<c10::SymInt> local = sizes.vec();
  if (placement.is_shard()) {
    auto& size = local[static_cast<size_t>(placement.dim())];
    size = shard_size(size, n, rank);
  }
  return local;
}

}  // namespace samebits
