#include "harness/kernels/rms_norm.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <optional>
#include <utility>
#include <vector>

#include "harness/dispatch/launch.h"
#include "harness/kernels/cpu/block.h"
#include "harness/kernels/cpu/starts.h"
#include "harness/kernels/cpu/tensors.h"

namespace samebits {
namespace {

// Rows and their length; a row has at least one element.
int64_t row_length(const char* op, const at::Tensor& x) {
  TORCH_CHECK(x.dim() >= 1 && x.size(-1) >= 1, op, ": x has shape ", x.sizes(),
              ", expected a last dimension of at least 1");
  return x.size(-1);
}

at::Tensor rms_norm_dgrad(const at::Tensor& dy_in, const at::Tensor& x_in,
                          const at::Tensor& weight_in, double eps) {
  const int64_t dim = row_length("rms_norm_dgrad", x_in);
  check_like("rms_norm_dgrad", "dy", dy_in, x_in);
  check_sizes("rms_norm_dgrad", "weight", weight_in, {dim});
  check_dtype("rms_norm_dgrad", "weight", weight_in, x_in.scalar_type());
  const at::Tensor dy = dy_in.contiguous();
  const at::Tensor x = x_in.contiguous();
  const at::Tensor weight = weight_in.contiguous();
  at::Tensor dx = at::empty(x.sizes(), x.options());
  with_element("rms_norm_dgrad", x, [&](auto element) {
    using T = decltype(element);
    launch("rms_norm_dgrad", [kernel = row_kernels<T>().rms_norm_dgrad, dy = elements<T>(dy),
                              x = elements<T>(x), weight = elements<T>(weight),
                              to = mutable_elements<T>(dx), rows = x.numel() / dim, dim,
                              eps = static_cast<float>(eps)] {
      at::parallel_for(0, rows, row_grain(dim), [&](int64_t begin, int64_t end) {
        kernel(dy + begin * dim, x + begin * dim, weight, to + begin * dim, end - begin, dim, eps);
      });
    });
  });
  return dx;
}

struct Rows {
  int64_t first;
  int64_t count;
};

// The blocks of rows of a gradient, begun anew at each sequence.
std::vector<Rows> blocks_of(const std::vector<int64_t>& starts, int64_t rows_of_token) {
  std::vector<Rows> blocks;
  for (size_t s = 0; s + 1 < starts.size(); ++s) {
    const int64_t end = starts[s + 1] * rows_of_token;
    for (int64_t row = starts[s] * rows_of_token; row < end; row += kRmsNormBlockRows) {
      blocks.push_back({row, std::min(kRmsNormBlockRows, end - row)});
    }
  }
  return blocks;
}

template <typename T>
struct WeightGradientCall {
  const T* dy;
  const T* x;
  int64_t dim;
  int64_t rows_of_token;
  float eps;
  Starts starts;
  float* sum;
};

template <typename T>
void run(const WeightGradientCall<T>& call) {
  const int64_t dim = call.dim;
  const auto groups = checked_groups("rms_norm_wgrad_", call.starts);
  std::vector<Rows> blocks;
  std::vector<size_t> ends;  // of the groups
  for (const auto& group : groups) {
    const std::vector<Rows> own = blocks_of(group, call.rows_of_token);
    blocks.insert(blocks.end(), own.begin(), own.end());
    ends.push_back(blocks.size());
  }
  const auto count = static_cast<int64_t>(blocks.size());
  std::vector<float> sums(static_cast<size_t>(count * dim));  // [blocks, dim]
  at::parallel_for(0, count, /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = blocks[block].first * dim;
      row_kernels<T>().rms_norm_wgrad_block(call.dy + first, call.x + first,
                                            sums.data() + block * dim, blocks[block].count, dim,
                                            call.eps);
    }
  });
  const auto add = [&](size_t block, size_t end, float* to) {
    for (; block < end; ++block) {
      row_kernels<float>().accumulate(sums.data() + block * dim, to, dim);
    }
  };
  if (groups.size() == 1) {
    add(0, blocks.size(), call.sum);
    return row_kernels<float>().round_row(call.sum, call.sum, dim);  // NaNs: the contract's bits
  }
  GroupTree tree;
  for (size_t g = 0; g < groups.size(); ++g) {
    std::vector<float> of_group(static_cast<size_t>(dim));
    add(g == 0 ? 0 : ends[g - 1], ends[g], of_group.data());
    tree.add(std::move(of_group));
  }
  tree.write(call.sum);
}

void rms_norm_wgrad_(const at::Tensor& dy_in, const at::Tensor& x_in, double eps,
                     const std::optional<at::Tensor>& starts, const at::Tensor& sum) {
  const int64_t dim = row_length("rms_norm_wgrad_", x_in);
  check_like("rms_norm_wgrad_", "dy", dy_in, x_in);
  check_sum("rms_norm_wgrad_", sum, {dim});
  TORCH_CHECK(!starts || x_in.dim() >= 3, "rms_norm_wgrad_: x has shape ", x_in.sizes(),
              ", expected [1, T, ...], as there is a starts");
  const at::Tensor dy = dy_in.contiguous();
  const at::Tensor x = x_in.contiguous();
  const int64_t rows = x.numel() / dim;
  const int64_t tokens = starts ? x.size(1) : rows;
  const at::Tensor firsts = contiguous_starts(starts);
  with_element("rms_norm_wgrad_", x, [&](auto element) {
    using T = decltype(element);
    launch("rms_norm_wgrad_",
           [call = WeightGradientCall<T>{elements<T>(dy), elements<T>(x), dim,
                                         tokens == 0 ? 0 : rows / tokens, static_cast<float>(eps),
                                         starts_of("rms_norm_wgrad_", firsts, tokens),
                                         mutable_elements<float>(sum)}] { run(call); });
  });
}

}  // namespace

at::Tensor cpu::rms_norm(const at::Tensor& x_in, const at::Tensor& weight_in, double eps,
                         bool fused_rounding) {
  const int64_t dim = row_length("rms_norm", x_in);
  check_sizes("rms_norm", "weight", weight_in, {dim});
  check_dtype("rms_norm", "weight", weight_in, x_in.scalar_type());
  const at::Tensor x = x_in.contiguous();
  const at::Tensor weight = weight_in.contiguous();
  at::Tensor y = at::empty(x.sizes(), x.options());
  with_element("rms_norm", x, [&](auto element) {
    using T = decltype(element);
    launch("rms_norm", [kernel = row_kernels<T>().rms_norm, from = elements<T>(x),
                        scale = elements<T>(weight), to = mutable_elements<T>(y),
                        rows = x.numel() / dim, dim, eps = static_cast<float>(eps),
                        fused_rounding] {
      at::parallel_for(0, rows, row_grain(dim), [&](int64_t begin, int64_t end) {
        kernel(from + begin * dim, scale, to + begin * dim, end - begin, dim, eps, fused_rounding);
      });
    });
  });
  return y;
}

TORCH_LIBRARY_IMPL(samebits, CPU, m) {
  m.impl("rms_norm", cpu::rms_norm);
  m.impl("rms_norm_dgrad", rms_norm_dgrad);
  m.impl("rms_norm_wgrad_", rms_norm_wgrad_);
}

}  // namespace samebits
