#include "harness/kernels/embedding.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "harness/dispatch/launch.h"
#include "harness/kernels/cpu/tensors.h"

namespace samebits {
namespace {

template <typename T>
T negative_zero() {
  if constexpr (std::is_same_v<T, Bf16>) {
    return Bf16{0x8000};
  } else {
    return -0.0f;
  }
}

at::Tensor embedding(const at::Tensor& ids_in, const at::Tensor& weight_in, int64_t first_row) {
  check_dtype("embedding", "ids", ids_in, at::kLong);
  TORCH_CHECK(weight_in.dim() == 2, "embedding: weight has shape ", weight_in.sizes(),
              ", expected [rows, C]");
  const at::Tensor ids = ids_in.contiguous();
  const at::Tensor weight = weight_in.contiguous();
  const int64_t rows = weight.size(0);
  const int64_t width = weight.size(1);
  auto sizes = ids.sizes().vec();
  sizes.push_back(width);
  at::Tensor y = at::empty(sizes, weight.options());
  with_element("embedding", weight, [&](auto element) {
    using T = decltype(element);
    launch("embedding",
           [id = elements<int64_t>(ids), from = elements<T>(weight), to = mutable_elements<T>(y),
            tokens = ids.numel(), rows, width, first_row] {
             at::parallel_for(0, tokens, row_grain(width), [&](int64_t begin, int64_t end) {
               for (int64_t t = begin; t < end; ++t) {
                 const int64_t row = id[t] - first_row;
                 if (row >= 0 && row < rows) {
                   std::copy_n(from + row * width, width, to + t * width);
                 } else {
                   std::fill_n(to + t * width, width, negative_zero<T>());
                 }
               }
             });
           });
  });
  return y;
}

// (row, token) of every token whose row is here, by row and then by token.
std::vector<std::pair<int64_t, int64_t>> tokens_by_row(const at::Tensor& ids, int64_t first_row,
                                                       int64_t rows) {
  std::vector<std::pair<int64_t, int64_t>> found;
  const int64_t* id = elements<int64_t>(ids);
  for (int64_t t = 0; t < ids.numel(); ++t) {
    const int64_t row = id[t] - first_row;
    if (row >= 0 && row < rows) found.emplace_back(row, t);
  }
  std::sort(found.begin(), found.end());
  return found;
}

void embedding_wgrad_(const at::Tensor& dy_in, const at::Tensor& ids_in, int64_t first_row,
                      const at::Tensor& sum) {
  check_dtype("embedding_wgrad_", "ids", ids_in, at::kLong);
  TORCH_CHECK(sum.dim() == 2, "embedding_wgrad_: sum has shape ", sum.sizes(),
              ", expected [rows, C]");
  const int64_t width = sum.size(1);
  check_sum("embedding_wgrad_", sum, sum.sizes());
  auto sizes = ids_in.sizes().vec();
  sizes.push_back(width);
  check_sizes("embedding_wgrad_", "dy", dy_in, sizes);
  const at::Tensor dy = dy_in.contiguous();
  const auto tokens = tokens_by_row(ids_in.contiguous(), first_row, sum.size(0));
  std::vector<size_t> starts;  // of each row's tokens, and the end
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i == 0 || tokens[i].first != tokens[i - 1].first) starts.push_back(i);
  }
  const int64_t touched = static_cast<int64_t>(starts.size());
  starts.push_back(tokens.size());
  with_element("embedding_wgrad_", dy, [&](auto element) {
    using T = decltype(element);
    const auto& kernels = row_kernels<T>();
    at::parallel_for(0, touched, row_grain(width), [&](int64_t begin, int64_t end) {
      for (int64_t group = begin; group < end; ++group) {
        float* row = mutable_elements<float>(sum) + tokens[starts[group]].first * width;
        for (size_t i = starts[group]; i < starts[group + 1]; ++i) {
          kernels.accumulate(elements<T>(dy) + tokens[i].second * width, row, width);
        }
        row_kernels<float>().round_row(row, row, width);  // NaNs get the contract's bits
      }
    });
  });
}

TORCH_LIBRARY_IMPL(samebits, CPU, m) {
  m.impl("embedding", embedding);
  m.impl("embedding_wgrad_", embedding_wgrad_);
}

}  // namespace
}  // namespace samebits
