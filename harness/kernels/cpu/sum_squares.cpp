#include "harness/kernels/sum_squares.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <c10/util/accumulate.h>
#include <torch/library.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "harness/dispatch/launch.h"
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

// x [outer, dim, inner], cut along dim.
template <typename T>
struct Cut {
  const T* x;
  int64_t outer;
  int64_t dim;
  int64_t inner;
  int64_t slice;  // 0: one of all
  float* to;
};

template <typename T>
float sum_of_slice(const T* slice, int64_t count) {
  std::vector<float> sums(static_cast<size_t>((count + kSumSquaresBlock - 1) / kSumSquaresBlock));
  at::parallel_for(0, static_cast<int64_t>(sums.size()), row_grain(kSumSquaresBlock),
                   [&](int64_t begin, int64_t end) {
                     for (int64_t block = begin; block < end; ++block) {
                       const int64_t first = block * kSumSquaresBlock;
                       sums[block] = row_kernels<T>().sum_squares_block(
                           slice + first, std::min(kSumSquaresBlock, count - first));
                     }
                   });
  return pairwise_sum(std::move(sums));
}

// Of indices first to first + count of dim. A slice of whole rows is read where it lies; any other
// is copied first.
template <typename T>
float sum_of_slice(const Cut<T>& cut, int64_t first, int64_t count) {
  const int64_t run = count * cut.inner;
  const T* from = cut.x + first * cut.inner;
  if (cut.outer == 1) return sum_of_slice(from, run);
  std::vector<T> slice(static_cast<size_t>(cut.outer * run));
  for (int64_t o = 0; o < cut.outer; ++o) {
    std::copy_n(from + o * cut.dim * cut.inner, run, slice.begin() + o * run);
  }
  return sum_of_slice(slice.data(), cut.outer * run);
}

template <typename T>
void run(const Cut<T>& cut) {
  std::vector<float> sums;
  const int64_t slice = cut.slice == 0 ? std::max<int64_t>(cut.dim, 1) : cut.slice;
  for (int64_t first = 0; first < cut.dim; first += slice) {
    sums.push_back(sum_of_slice(cut, first, std::min(slice, cut.dim - first)));
  }
  *cut.to = canonical_nan_f32(pairwise_sum(std::move(sums)));
}

at::Tensor sum_squares(const at::Tensor& x_in, int64_t dim, int64_t slice) {
  TORCH_CHECK(slice >= 0, "sum_squares: found slice ", slice, ", expected 0 (one slice) or more");
  TORCH_CHECK(slice == 0 || (dim >= 0 && dim < x_in.dim()), "sum_squares: found dim ", dim,
              ", expected one in [0, ", x_in.dim(), ")");
  const at::Tensor x = x_in.contiguous();
  at::Tensor out = at::empty({}, x.options().dtype(at::kFloat));
  with_element("sum_squares", x, [&](auto element) {
    using T = decltype(element);
    Cut<T> cut{elements<T>(x), 1, x.numel(), 1, slice, mutable_elements<float>(out)};
    if (slice > 0) {
      cut.outer = c10::multiply_integers(x.sizes().slice(0, dim));
      cut.dim = x.size(dim);
      cut.inner = c10::multiply_integers(x.sizes().slice(dim + 1));
    }
    launch("sum_squares", [cut] { run(cut); });
  });
  return out;
}

TORCH_LIBRARY_IMPL(samebits, CPU, m) { m.impl("sum_squares", sum_squares); }

}  // namespace
}  // namespace samebits
