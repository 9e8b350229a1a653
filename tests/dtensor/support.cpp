#include "tests/dtensor/support.h"

#include <cstring>

#include "harness/mesh/shard.h"

namespace samebits::testing_support {

at::Tensor whole_numbers(at::IntArrayRef sizes, at::ScalarType dtype) {
  return at::randint(-8, 9, sizes, at::TensorOptions().dtype(dtype));
}

std::vector<Placement> placements_of_rank(int64_t rank) {
  std::vector<Placement> placements;
  for (int64_t dim = 0; dim < rank; ++dim) placements.push_back(Placement::shard(dim));
  placements.push_back(Placement::replicate());
  placements.push_back(Placement::partial());
  return placements;
}

std::vector<Placements> placements_on_grid(int64_t rank, int64_t mesh_dims) {
  if (mesh_dims == 1) {
    const std::vector<Placement> each = placements_of_rank(rank);
    return {each.begin(), each.end()};
  }
  std::vector<Placements> grown;
  for (const Placements& outer : placements_on_grid(rank, mesh_dims - 1)) {
    for (const Placement inner : placements_of_rank(rank)) {
      grown.push_back(outer);
      grown.back().append(inner);
    }
  }
  return grown;
}

at::Tensor laid_out(const at::Tensor& whole, const c10::intrusive_ptr<DeviceMesh>& mesh,
                    const Placements& placements) {
  const DTensorSpec spec = {mesh, placements.normalized(whole.dim())};
  std::vector<at::Tensor> locals(static_cast<size_t>(mesh->size()), whole.clone());
  for (int64_t d = 0; d < mesh->dims(); ++d) {
    for (const std::vector<size_t>& group : mesh->groups(d)) {
      for (size_t i = 0; i < group.size(); ++i) {
        at::Tensor& local = locals[group[i]];
        if (spec.placements[d].is_shard()) {
          local = share_of(local, spec.placements[d].dim(), mesh->size(d), static_cast<int64_t>(i));
        } else if (spec.placements[d].is_partial() && i > 0) {
          local = at::randint(-4, 5, local.sizes(), whole.options());
          locals[group[0]] = locals[group[0]] - local;
        }
      }
    }
  }
  for (at::Tensor& local : locals) local = local.clone(at::MemoryFormat::Contiguous);
  return make_dtensor(spec, whole.sym_sizes(), whole.scalar_type(), std::move(locals));
}

testing::AssertionResult same_bits(const at::Tensor& found, const at::Tensor& expected) {
  if (found.scalar_type() != expected.scalar_type() || found.sizes() != expected.sizes()) {
    return testing::AssertionFailure()
           << "found " << found.scalar_type() << " " << found.sizes() << ", expected "
           << expected.scalar_type() << " " << expected.sizes();
  }
  const at::Tensor a = found.detach().contiguous();
  const at::Tensor b = expected.detach().contiguous();
  if (a.nbytes() == 0 || std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0) {
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure() << "found " << a << "\nexpected " << b;
}

testing::AssertionResult same_value(const at::Tensor& found, const at::Tensor& expected) {
  const at::NoGradGuard no_grad;
  if (!is_dtensor(found)) return testing::AssertionFailure() << "found a plain tensor";
  const DTensorSpec& spec = spec_of(found);
  if (auto whole = same_bits(full_tensor(found), expected); !whole) {
    return whole << "\nplacement " << spec.placements;
  }
  if (spec.placements.has_partial()) return testing::AssertionSuccess();
  const at::Tensor again = distribute_tensor(expected.detach(), spec.mesh, spec.placements);
  for (size_t i = 0; i < locals_of(found).size(); ++i) {
    if (auto local = same_bits(locals_of(found)[i], locals_of(again)[i]); !local) {
      return local << "\nrank " << i << ", placement " << spec.placements;
    }
  }
  return testing::AssertionSuccess();
}

}  // namespace samebits::testing_support
