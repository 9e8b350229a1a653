#include "harness/kernels/embedding.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/util/accumulate.h>
#include <torch/library.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "harness/dispatch/launch.h"
#include "harness/kernels/cpu/starts.h"
#include "harness/kernels/cpu/tensors.h"
#include "harness/kernels/linear.h"

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

// A token whose row is here.
struct RowOfToken {
  int64_t row;
  int64_t token;
  bool operator<(const RowOfToken& other) const {
    return row != other.row ? row < other.row : token < other.token;
  }
};

// Of tokens `first` to `end`, by row and then by token.
std::vector<RowOfToken> tokens_by_row(const at::Tensor& ids, int64_t first, int64_t end,
                                      int64_t first_row, int64_t rows) {
  std::vector<RowOfToken> found;
  const int64_t* id = elements<int64_t>(ids);
  for (int64_t t = first; t < end; ++t) {
    const int64_t row = id[t] - first_row;
    if (row >= 0 && row < rows) found.push_back({row, t});
  }
  std::sort(found.begin(), found.end());
  return found;
}

// sums [rows, C] += dy of these tokens.
void add_tokens(const at::Tensor& dy, const std::vector<RowOfToken>& tokens, float* sums) {
  const int64_t width = dy.size(-1);
  std::vector<size_t> starts;  // of each row's tokens, and the end
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i == 0 || tokens[i].row != tokens[i - 1].row) starts.push_back(i);
  }
  const int64_t touched = static_cast<int64_t>(starts.size());
  starts.push_back(tokens.size());
  with_element("embedding_wgrad_", dy, [&](auto element) {
    using T = decltype(element);
    const auto& kernels = row_kernels<T>();
    at::parallel_for(0, touched, row_grain(width), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        float* row = sums + tokens[starts[r]].row * width;
        for (size_t i = starts[r]; i < starts[r + 1]; ++i) {
          kernels.accumulate(elements<T>(dy) + tokens[i].token * width, row, width);
        }
        row_kernels<float>().round_row(row, row, width);  // NaNs get the contract's bits
      }
    });
  });
}

// The gradient of a table [rows, C] as its callers give it, contiguous and checked.
struct TableGradient {
  at::Tensor dy;
  at::Tensor ids;
  int64_t first_row;
  int64_t rows;
  std::vector<std::vector<int64_t>> groups;

  std::vector<RowOfToken> tokens_of(const std::vector<int64_t>& group) const {
    return tokens_by_row(ids, group.front(), group.back(), first_row, rows);
  }
};

TableGradient table_gradient(const char* op, const at::Tensor& dy, const at::Tensor& ids,
                             int64_t first_row, const std::optional<at::Tensor>& starts,
                             const at::Tensor& sum) {
  check_dtype(op, "ids", ids, at::kLong);
  TORCH_CHECK(sum.dim() == 2, op, ": sum has shape ", sum.sizes(), ", expected [rows, C]");
  check_sum(op, sum, sum.sizes());
  auto sizes = ids.sizes().vec();
  sizes.push_back(sum.size(1));
  check_sizes(op, "dy", dy, sizes);
  return {dy.contiguous(), ids.contiguous(), first_row, sum.size(0),
          checked_groups(op, starts, ids.numel())};
}

void embedding_wgrad_(const at::Tensor& dy, const at::Tensor& ids, int64_t first_row,
                      const std::optional<at::Tensor>& starts, const at::Tensor& sum) {
  const TableGradient table = table_gradient("embedding_wgrad_", dy, ids, first_row, starts, sum);
  auto* to = mutable_elements<float>(sum);
  if (table.groups.size() == 1) return add_tokens(table.dy, table.tokens_of(table.groups[0]), to);
  GroupTree tree;
  for (const auto& group : table.groups) {
    std::vector<float> of_group(static_cast<size_t>(sum.numel()));
    add_tokens(table.dy, table.tokens_of(group), of_group.data());
    tree.add(std::move(of_group));
  }
  std::vector<float> whole(static_cast<size_t>(sum.numel()));
  tree.write(whole.data());
  const int64_t width = sum.size(1);
  for (const auto& [row, token] : table.tokens_of({0, table.ids.numel()})) {
    std::copy_n(whole.data() + row * width, width, to + row * width);
  }
}

void tied_wgrad_(const at::Tensor& dy, const at::Tensor& ids, int64_t first_row,
                 const at::Tensor& starts, const at::Tensor& dlogits, const at::Tensor& h,
                 const at::Tensor& row_starts, const at::Tensor& sum, const at::Tensor& head_sum) {
  const TableGradient table = table_gradient("tied_wgrad_", dy, ids, first_row, starts, sum);
  TORCH_CHECK(dlogits.dim() >= 1, "tied_wgrad_: dlogits is a scalar");
  const auto leading = dlogits.sizes().slice(0, dlogits.dim() - 1);
  const auto rows = checked_groups("tied_wgrad_", row_starts, c10::multiply_integers(leading));
  TORCH_CHECK(rows.size() == table.groups.size(), "tied_wgrad_: found ", table.groups.size(),
              " and ", rows.size(), " groups of tokens and of rows, expected as many");
  if (rows.size() == 1) {
    embedding_wgrad_(dy, ids, first_row, starts, sum);
    return cpu::linear_wgrad_(dlogits, h, row_starts, head_sum);
  }
  GroupTree tree;
  for (size_t g = 0; g < rows.size(); ++g) {
    const int64_t first = rows[g].front();
    const auto own_rows = [&](const at::Tensor& x) {
      return x.reshape({rows.back().back(), x.size(-1)}).narrow(0, first, rows[g].back() - first);
    };
    std::vector<int32_t> own_starts;
    for (const int64_t start : rows[g]) own_starts.push_back(static_cast<int32_t>(start - first));
    const at::Tensor head = at::zeros(sum.sizes(), sum.options());
    cpu::linear_wgrad_(own_rows(dlogits), own_rows(h), at::tensor(own_starts), head);
    std::vector<float> both(static_cast<size_t>(sum.numel()));
    add_tokens(table.dy, table.tokens_of(table.groups[g]), both.data());
    const auto* of_head = elements<float>(head);
    for (float& value : both) value = value + *of_head++;
    tree.add(std::move(both));
  }
  tree.write(mutable_elements<float>(sum));
}

TORCH_LIBRARY_IMPL(samebits, CPU, m) {
  m.impl("embedding", embedding);
  m.impl("embedding_wgrad_", embedding_wgrad_);
  m.impl("tied_wgrad_", tied_wgrad_);
}

}  // namespace
}  // namespace samebits
