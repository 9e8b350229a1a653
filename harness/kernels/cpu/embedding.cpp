#include "harness/kernels/embedding.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <c10/util/accumulate.h>
#include <torch/library.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "harness/dispatch/launch.h"
#include "harness/kernels/cpu/starts.h"
#include "harness/kernels/cpu/tensors.h"
#include "harness/kernels/cpu/weight_product.h"

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

// The gradient of a table [rows, C], as a launch holds it.
template <typename T>
struct TableGradient {
  const char* op;
  const T* dy;
  const int64_t* ids;
  int64_t first_row;
  int64_t rows;
  int64_t width;  // C
  Starts starts;
  float* sum;

  size_t elements() const { return static_cast<size_t>(rows * width); }
};

// Of tokens `first` to `end`, by row and then by token.
template <typename T>
std::vector<RowOfToken> tokens_by_row(const TableGradient<T>& table, int64_t first, int64_t end) {
  std::vector<RowOfToken> found;
  for (int64_t t = first; t < end; ++t) {
    const int64_t row = table.ids[t] - table.first_row;
    if (row >= 0 && row < table.rows) found.push_back({row, t});
  }
  std::sort(found.begin(), found.end());
  return found;
}

// sums [rows, C] += dy of the tokens of a group.
template <typename T>
void add_group(const TableGradient<T>& table, const std::vector<int64_t>& group, float* sums) {
  const std::vector<RowOfToken> tokens = tokens_by_row(table, group.front(), group.back());
  const int64_t width = table.width;
  std::vector<size_t> starts;  // of each row's tokens, and the end
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i == 0 || tokens[i].row != tokens[i - 1].row) starts.push_back(i);
  }
  const int64_t touched = static_cast<int64_t>(starts.size());
  starts.push_back(tokens.size());
  at::parallel_for(0, touched, row_grain(width), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      float* row = sums + tokens[starts[r]].row * width;
      for (size_t i = starts[r]; i < starts[r + 1]; ++i) {
        row_kernels<T>().accumulate(table.dy + tokens[i].token * width, row, width);
      }
      row_kernels<float>().round_row(row, row, width);  // NaNs get the contract's bits
    }
  });
}

template <typename T>
void run(const TableGradient<T>& table) {
  const auto groups = checked_groups(table.op, table.starts);
  if (groups.size() == 1) return add_group(table, groups[0], table.sum);
  GroupTree tree;
  for (const auto& group : groups) {
    std::vector<float> of_group(table.elements());
    add_group(table, group, of_group.data());
    tree.add(std::move(of_group));
  }
  std::vector<float> whole(table.elements());
  tree.write(whole.data());
  for (const auto& [row, token] : tokens_by_row(table, 0, groups.back().back())) {
    std::copy_n(whole.data() + row * table.width, table.width, table.sum + row * table.width);
  }
}

// A table that is the head, too.
template <typename T>
struct TiedGradient {
  TableGradient<T> table;
  cpu::WeightOperands head;
  Starts row_starts;
  float* head_sum;
};

template <typename T>
void run(const TiedGradient<T>& tied) {
  const auto groups = checked_groups(tied.table.op, tied.table.starts);
  const auto rows = checked_groups(tied.table.op, tied.row_starts);
  if (groups.size() == 1) {
    add_group(tied.table, groups[0], tied.table.sum);
    return tied.head.add(rows[0], tied.head_sum);
  }
  GroupTree tree;
  for (size_t g = 0; g < groups.size(); ++g) {
    std::vector<float> head(tied.table.elements());
    tied.head.add(rows[g], head.data());
    std::vector<float> both(tied.table.elements());
    add_group(tied.table, groups[g], both.data());
    for (size_t i = 0; i < both.size(); ++i) both[i] = both[i] + head[i];
    tree.add(std::move(both));
  }
  tree.write(tied.table.sum);
}

// What the kernels point into, checked and contiguous, until their launch is made.
struct TableTensors {
  at::Tensor dy;
  at::Tensor ids;
  at::Tensor starts;
};

TableTensors table_tensors(const char* op, const at::Tensor& dy, const at::Tensor& ids,
                           const std::optional<at::Tensor>& starts, const at::Tensor& sum) {
  check_dtype(op, "ids", ids, at::kLong);
  TORCH_CHECK(sum.dim() == 2, op, ": sum has shape ", sum.sizes(), ", expected [rows, C]");
  check_sum(op, sum, sum.sizes());
  auto sizes = ids.sizes().vec();
  sizes.push_back(sum.size(1));
  check_sizes(op, "dy", dy, sizes);
  return {dy.contiguous(), ids.contiguous(), contiguous_starts(starts)};
}

template <typename T>
TableGradient<T> table_gradient(const char* op, const TableTensors& from, int64_t first_row,
                                const at::Tensor& sum) {
  return {op,
          elements<T>(from.dy),
          elements<int64_t>(from.ids),
          first_row,
          sum.size(0),
          sum.size(1),
          starts_of(op, from.starts, from.ids.numel()),
          mutable_elements<float>(sum)};
}

void embedding_wgrad_(const at::Tensor& dy, const at::Tensor& ids, int64_t first_row,
                      const std::optional<at::Tensor>& starts, const at::Tensor& sum) {
  const char* op = "embedding_wgrad_";
  const TableTensors from = table_tensors(op, dy, ids, starts, sum);
  with_element(op, from.dy, [&](auto element) {
    using T = decltype(element);
    launch(op, [table = table_gradient<T>(op, from, first_row, sum)] { run(table); });
  });
}

void tied_wgrad_(const at::Tensor& dy, const at::Tensor& ids, int64_t first_row,
                 const at::Tensor& starts, const at::Tensor& dlogits, const at::Tensor& h,
                 const at::Tensor& row_starts, const at::Tensor& sum, const at::Tensor& head_sum) {
  const char* op = "tied_wgrad_";
  const TableTensors from = table_tensors(op, dy, ids, starts, sum);
  TORCH_CHECK(dlogits.dim() >= 1, "tied_wgrad_: dlogits is a scalar");
  const auto leading = dlogits.sizes().slice(0, dlogits.dim() - 1);
  TORCH_CHECK(h.dim() >= 1 && leading == h.sizes().slice(0, h.dim() - 1),
              "tied_wgrad_: dlogits has shape ", dlogits.sizes(), ", expected the leading sizes of ",
              h.sizes());
  check_sum(op, sum, {dlogits.size(-1), h.size(-1)});
  const cpu::WeightProduct head = cpu::weight_product(dlogits, h);
  const at::Tensor firsts = contiguous_starts(row_starts);
  const Starts rows = starts_of(op, firsts, c10::multiply_integers(leading));
  with_element(op, from.dy, [&](auto element) {
    using T = decltype(element);
    const TableGradient<T> table = table_gradient<T>(op, from, first_row, sum);
    TORCH_CHECK(rows.groups == table.starts.groups, "tied_wgrad_: found ", table.starts.groups,
                " and ", rows.groups, " groups of tokens and of rows, expected as many");
    if (rows.groups == 1) check_sum(op, head_sum, sum.sizes());
    float* to = head_sum.numel() == 0 ? nullptr : mutable_elements<float>(head_sum);
    launch(op, [tied = TiedGradient<T>{table, head.operands, rows, to}] { run(tied); });
  });
}

TORCH_LIBRARY_IMPL(samebits, CPU, m) {
  m.impl("embedding", embedding);
  m.impl("embedding_wgrad_", embedding_wgrad_);
  m.impl("tied_wgrad_", tied_wgrad_);
}

}  // namespace
}  // namespace samebits
