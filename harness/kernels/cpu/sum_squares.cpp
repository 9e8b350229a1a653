#include "harness/kernels/sum_squares.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/narrow.h>
#include <torch/library.h>

#include <vector>

#include "harness/kernels/cpu/tensors.h"

namespace samebits {
namespace {

// The pairwise tree of sum_squares.h.
float pairwise_sum(std::vector<float> values) {
  if (values.empty()) return 0.0f;
  while (values.size() > 1) {
    const size_t pairs = values.size() / 2;
    for (size_t i = 0; i < pairs; ++i) values[i] = values[2 * i] + values[2 * i + 1];
    if (values.size() % 2 == 1) values[pairs] = values.back();
    values.resize((values.size() + 1) / 2);
  }
  return values[0];
}

// A slice of whole rows is contiguous, and read where it lies; any other is copied first.
float sum_of_slice(const at::Tensor& slice_in) {
  const at::Tensor slice = slice_in.contiguous();
  const int64_t count = slice.numel();
  std::vector<float> sums(static_cast<size_t>((count + kSumSquaresBlock - 1) / kSumSquaresBlock));
  with_element("sum_squares", slice, [&](auto element) {
    using T = decltype(element);
    const auto& kernels = row_kernels<T>();
    at::parallel_for(0, static_cast<int64_t>(sums.size()), row_grain(kSumSquaresBlock),
                     [&](int64_t begin, int64_t end) {
                       for (int64_t block = begin; block < end; ++block) {
                         const int64_t first = block * kSumSquaresBlock;
                         sums[block] = kernels.sum_squares_block(
                             elements<T>(slice) + first, std::min(kSumSquaresBlock, count - first));
                       }
                     });
  });
  return pairwise_sum(std::move(sums));
}

at::Tensor sum_squares(const at::Tensor& x, int64_t dim, int64_t slice) {
  TORCH_CHECK(slice >= 0, "sum_squares: found slice ", slice, ", expected 0 (one slice) or more");
  TORCH_CHECK(slice == 0 || (dim >= 0 && dim < x.dim()), "sum_squares: found dim ", dim,
              ", expected one in [0, ", x.dim(), ")");
  std::vector<float> sums;
  if (slice == 0) {
    sums.push_back(sum_of_slice(x));
  } else {
    for (int64_t first = 0; first < x.size(dim); first += slice) {
      sums.push_back(sum_of_slice(x.narrow(dim, first, std::min(slice, x.size(dim) - first))));
    }
  }
  at::Tensor out = at::empty({}, x.options().dtype(at::kFloat));
  *mutable_elements<float>(out) = canonical_nan_f32(pairwise_sum(std::move(sums)));
  return out;
}

TORCH_LIBRARY_IMPL(samebits, CPU, m) { m.impl("sum_squares", sum_squares); }

}  // namespace
}  // namespace samebits
