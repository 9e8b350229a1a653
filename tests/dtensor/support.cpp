#include "tests/dtensor/support.h"

#include <cstring>

#include "harness/dtensor/redistribute_locals.h"

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

at::Tensor laid_out(const at::Tensor& whole, const c10::intrusive_ptr<DeviceMesh>& mesh,
                    Placement placement) {
  if (!placement.is_partial()) return distribute_tensor(whole, mesh, placement);
  std::vector<at::Tensor> summands{whole.clone()};
  for (int64_t rank = 1; rank < mesh->size(); ++rank) {
    summands.push_back(at::randint(-4, 5, whole.sizes(), whole.options()));
    summands[0] = summands[0] - summands.back();
  }
  return make_dtensor({mesh, placement}, whole.sym_sizes(), whole.scalar_type(),
                      std::move(summands));
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
    return whole << "\nplacement " << spec.placement;
  }
  if (spec.placement.is_partial()) return testing::AssertionSuccess();
  const at::Tensor again = distribute_tensor(expected.detach(), spec.mesh, spec.placement);
  for (size_t i = 0; i < locals_of(found).size(); ++i) {
    if (auto local = same_bits(locals_of(found)[i], locals_of(again)[i]); !local) {
      return local << "\nrank " << i << ", placement " << spec.placement;
    }
  }
  return testing::AssertionSuccess();
}

}  // namespace samebits::testing_support
