#include "harness/dtensor/redistribute_locals.h"

#include <ATen/ops/clone.h>
#include <c10/util/Exception.h>

#include "harness/mesh/shard.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;

// Along one dimension of the mesh, of one group of ranks that differ in it alone. `sizes` are those
// of what the group holds together.
Tensors moved_in_group(const Tensors& locals, const DeviceMesh& mesh, int64_t mesh_dim,
                       const std::vector<size_t>& group, at::IntArrayRef sizes, Placement from,
                       Placement to) {
  Communicator& communicator = mesh.communicator(mesh_dim);
  if (from.is_replicate()) {
    Tensors shards;
    for (size_t i = 0; i < group.size(); ++i) {
      const int64_t at = mesh.coordinate(mesh.hosted_ranks()[group[i]], mesh_dim);
      shards.push_back(share_of(locals[i], to.dim(), mesh.size(mesh_dim), at)
                           .clone(at::MemoryFormat::Contiguous));
    }
    return shards;
  }
  if (from.is_partial()) {
    return to.is_replicate() ? communicator.all_reduce(locals)
                             : communicator.reduce_scatter(locals, to.dim());
  }
  const int64_t size = sizes[static_cast<size_t>(from.dim())];
  return to.is_replicate() ? communicator.all_gather(locals, from.dim(), size)
                           : communicator.all_to_all(locals, from.dim(), size, to.dim());
}

// On its way from one placement to another.
class Redistribution {
 public:
  Redistribution(const Tensors& locals, const DeviceMesh& mesh, at::IntArrayRef sizes,
                 const Placements& from, const Placements& to)
      : locals_(locals), mesh_(mesh), sizes_(sizes), at_(from), to_(to) {}

  Tensors run() {
    for (int64_t d = mesh_.dims() - 1; d >= 0; --d) {
      move(d, is_cut_alike_before(d) ? to_[d] : Placement::replicate());
    }
    for (int64_t d = 0; d < mesh_.dims(); ++d) move(d, to_[d]);
    return std::move(locals_);
  }

 private:
  // Whether the dimensions of the mesh before `mesh_dim` cut what it is going to cut as they will.
  bool is_cut_alike_before(int64_t mesh_dim) const {
    if (!to_[mesh_dim].is_shard()) return true;
    const int64_t dim = to_[mesh_dim].dim();
    for (int64_t d = 0; d < mesh_dim; ++d) {
      if (at_[d].is_shard(dim) != to_[d].is_shard(dim)) return false;
    }
    return true;
  }

  void move(int64_t mesh_dim, Placement to) {
    const Placement from = at_[mesh_dim];
    if (from == to) return;
    at_[mesh_dim] = Placement::replicate();  // so that local sizes are those of a group
    for (const std::vector<size_t>& group : mesh_.groups(mesh_dim)) {
      Tensors members;
      for (const size_t i : group) members.push_back(locals_[i]);
      const auto sizes = sizes_of_group(mesh_.hosted_ranks()[group[0]]);
      members = moved_in_group(members, mesh_, mesh_dim, group, sizes, from, to);
      for (size_t i = 0; i < group.size(); ++i) locals_[group[i]] = std::move(members[i]);
    }
    at_[mesh_dim] = to;
  }

  std::vector<int64_t> sizes_of_group(int64_t rank) const {
    std::vector<int64_t> sizes = sizes_.vec();
    for (int64_t d = 0; d < mesh_.dims(); ++d) {
      if (!at_[d].is_shard()) continue;
      auto& size = sizes[static_cast<size_t>(at_[d].dim())];
      size = shard_size(size, mesh_.size(d), mesh_.coordinate(rank, d)).expect_int();
    }
    return sizes;
  }

  Tensors locals_;
  const DeviceMesh& mesh_;
  at::IntArrayRef sizes_;
  Placements at_;
  const Placements& to_;
};

}  // namespace

std::vector<at::Tensor> redistribute_locals(const std::vector<at::Tensor>& locals,
                                            const DeviceMesh& mesh, at::IntArrayRef sizes,
                                            const Placements& from, const Placements& to) {
  if (from == to) return locals;
  for (int64_t d = 0; d < mesh.dims(); ++d) {
    TORCH_CHECK(!to[d].is_partial() || from[d].is_partial(), "redistribute from ", from.text(),
                " to ", to.text(), ": a value is never split into summands");
  }
  return Redistribution(locals, mesh, sizes, from, to).run();
}

std::vector<c10::SymInt> redistributed_sizes(c10::SymIntArrayRef sizes, const DTensorSpec& from,
                                             const Placements& to, bool unpad) {
  std::vector<c10::SymInt> result = sizes.vec();
  if (!unpad && from.placement().is_shard() && to.is_replicate()) {
    auto& size = result[static_cast<size_t>(from.placement().dim())];
    size = gathered_with_padding(size, from.mesh->size());
  }
  return result;
}

std::vector<c10::SymInt> sizes_of_parts(at::TensorList locals, const DTensorSpec& spec) {
  const DeviceMesh& mesh = *spec.mesh;
  const std::vector<int64_t>& ranks = mesh.hosted_ranks();
  std::vector<c10::SymInt> sizes = locals[0].sym_sizes().vec();
  for (int64_t dim = 0; dim < locals[0].dim(); ++dim) {
    // Parts along `dim`: of ranks that differ from the first in what shards it, and in nothing
    // else.
    int64_t parts = 1;
    const auto is_part = [&](int64_t rank) {
      for (int64_t d = 0; d < mesh.dims(); ++d) {
        const bool is_apart = mesh.coordinate(rank, d) != mesh.coordinate(ranks[0], d);
        if (is_apart && !spec.placements[d].is_shard(dim)) return false;
      }
      return true;
    };
    for (int64_t d = 0; d < mesh.dims(); ++d) {
      if (spec.placements[d].is_shard(dim)) parts *= mesh.size(d);
    }
    if (parts == 1) continue;
    c10::SymInt size = 0;
    for (size_t i = 0; i < ranks.size(); ++i) {
      if (!is_part(ranks[i])) continue;
      size = size + locals[i].sym_size(dim);
      --parts;
    }
    sizes[static_cast<size_t>(dim)] = parts == 0 ? size : size + locals[0].sym_size(dim) * parts;
  }
  return sizes;
}

std::vector<c10::SymInt> local_sizes(c10::SymIntArrayRef sizes, const DTensorSpec& spec,
                                     int64_t rank) {
  std::vector<c10::SymInt> local = sizes.vec();
  for (int64_t d = 0; d < spec.mesh->dims(); ++d) {
    if (!spec.placements[d].is_shard()) continue;
    auto& size = local[static_cast<size_t>(spec.placements[d].dim())];
    size = shard_size(size, spec.mesh->size(d), spec.mesh->coordinate(rank, d));
  }
  return local;
}

}  // namespace samebits
