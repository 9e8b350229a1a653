#include "harness/kernels/cpu/data_movement.h"

#include <c10/util/accumulate.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>

#include "harness/dispatch/launch.h"
#include "harness/kernels/cpu/tensors.h"

namespace samebits {
namespace {

constexpr int64_t kMaxDims = 8;

struct StridedCopy {
  char* to;
  const char* from;
  int64_t dims;
  std::array<int64_t, kMaxDims> sizes;
  std::array<int64_t, kMaxDims> to_strides;  // bytes, as from_strides
  std::array<int64_t, kMaxDims> from_strides;
  int64_t row_bytes;  // of the innermost piece that is in one piece on both sides
};

void copy(const StridedCopy& c, int64_t dim, char* to, const char* from) {
  if (dim == c.dims) {
    std::memcpy(to, from, c.row_bytes);
    return;
  }
  for (int64_t i = 0; i < c.sizes[dim]; ++i) {
    copy(c, dim + 1, to + i * c.to_strides[dim], from + i * c.from_strides[dim]);
  }
}

StridedCopy strided_copy(const at::Tensor& to, const at::Tensor& from) {
  const int64_t element = to.element_size();
  StridedCopy c{static_cast<char*>(to.mutable_data_ptr()),
                static_cast<const char*>(from.const_data_ptr()),
                to.dim(),
                {},
                {},
                {},
                element};
  while (c.dims > 0) {
    const int64_t last = c.dims - 1;
    const bool in_one_piece = to.size(last) == 1 || (to.stride(last) * element == c.row_bytes &&
                                                     from.stride(last) * element == c.row_bytes);
    if (!in_one_piece) break;
    c.row_bytes *= to.size(last);
    --c.dims;
  }
  for (int64_t d = 0; d < c.dims; ++d) {
    c.sizes[d] = to.size(d);
    c.to_strides[d] = to.stride(d) * element;
    c.from_strides[d] = from.stride(d) * element;
  }
  return c;
}

void check_contiguous(const char* op, const at::Tensor& x) {
  TORCH_CHECK(x.is_contiguous(), op, ": found a tensor that is not contiguous");
}

}  // namespace

void launch_copy(const at::Tensor& to, const at::Tensor& from) {
  check_like("copy", "from", from, to);
  TORCH_CHECK(to.dim() <= kMaxDims, "copy: found ", to.dim(), " dimensions, expected at most ",
              kMaxDims);
  if (to.numel() == 0) return;
  launch("copy", [c = strided_copy(to, from)] { copy(c, 0, c.to, c.from); });
}

void launch_index_select(const at::Tensor& to, const at::Tensor& from, int64_t dim,
                         const at::Tensor& index) {
  TORCH_CHECK(dim >= 0 && dim < from.dim(), "index_select: found dimension ", dim,
              ", expected one in [0, ", from.dim(), ")");
  check_dtype("index_select", "index", index, at::kLong);
  TORCH_CHECK(index.dim() == 1, "index_select: index has shape ", index.sizes(), ", expected [n]");
  auto sizes = from.sizes().vec();
  sizes[dim] = index.size(0);
  check_sizes("index_select", "to", to, sizes);
  check_dtype("index_select", "to", to, from.scalar_type());
  for (const at::Tensor* x : {&to, &from, &index}) check_contiguous("index_select", *x);
  if (to.numel() == 0) return;
  const int64_t rows = from.size(dim);
  // Not the stride, which means nothing where the size is 1.
  const int64_t bytes = c10::multiply_integers(from.sizes().slice(dim + 1)) * from.element_size();
  launch("index_select", [to = static_cast<char*>(to.mutable_data_ptr()),
                          from = static_cast<const char*>(from.const_data_ptr()),
                          index = elements<int64_t>(index), count = index.numel(),
                          outer = to.numel() * to.element_size() / (index.numel() * bytes), rows,
                          bytes] {
    for (int64_t i = 0; i < count; ++i) {
      TORCH_CHECK(index[i] >= 0 && index[i] < rows, "index_select: index[", i, "] is ",
                         index[i], ", expected one in [0, ", rows, ")");
      for (int64_t o = 0; o < outer; ++o) {
        std::memcpy(to + (o * count + i) * bytes, from + (o * rows + index[i]) * bytes, bytes);
      }
    }
  });
}

void launch_cast(const at::Tensor& to, const at::Tensor& from) {
  check_sizes("cast", "from", from, to.sizes());
  check_contiguous("cast", to);
  check_contiguous("cast", from);
  if (to.scalar_type() == from.scalar_type()) return launch_copy(to, from);
  if (to.scalar_type() == at::kBFloat16) {
    check_dtype("cast", "from", from, at::kFloat);
    launch("cast",
           [from = elements<float>(from), to = mutable_elements<Bf16>(to), count = to.numel()] {
             for (int64_t i = 0; i < count; ++i) to[i].bits = f32_to_bf16(from[i]);
           });
  } else {
    check_dtype("cast", "from", from, at::kBFloat16);
    check_dtype("cast", "to", to, at::kFloat);
    launch("cast",
           [from = elements<Bf16>(from), to = mutable_elements<float>(to), count = to.numel()] {
             for (int64_t i = 0; i < count; ++i) to[i] = to_float(from[i]);
           });
  }
}

void launch_add(const at::Tensor& to, const at::Tensor& a, const at::Tensor& b) {
  check_like("add", "a", a, to);
  check_like("add", "b", b, to);
  for (const at::Tensor* x : {&to, &a, &b}) check_contiguous("add", *x);
  with_element("add", to, [&](auto element) {
    using T = decltype(element);
    launch("add", [kernel = row_kernels<T>().residual_add, a = elements<T>(a), b = elements<T>(b),
                   to = mutable_elements<T>(to), count = to.numel()] { kernel(a, b, to, count); });
  });
}

void launch_index_add(const at::Tensor& to, int64_t dim, const at::Tensor& index,
                      const at::Tensor& from) {
  TORCH_CHECK(dim >= 0 && dim < to.dim(), "index_add_: found dimension ", dim,
              ", expected one in [0, ", to.dim(), ")");
  check_dtype("index_add_", "index", index, at::kLong);
  TORCH_CHECK(index.dim() == 1, "index_add_: index has shape ", index.sizes(), ", expected [n]");
  auto sizes = to.sizes().vec();
  sizes[dim] = index.size(0);
  check_sizes("index_add_", "from", from, sizes);
  check_dtype("index_add_", "from", from, to.scalar_type());
  for (const at::Tensor* x : {&to, &from, &index}) check_contiguous("index_add_", *x);
  const int64_t width = c10::multiply_integers(to.sizes().slice(dim + 1));
  const int64_t outer = c10::multiply_integers(to.sizes().slice(0, dim));
  with_element("index_add_", to, [&](auto element) {
    using T = decltype(element);
    launch("index_add_", [kernel = row_kernels<T>().residual_add, to = mutable_elements<T>(to),
                          from = elements<T>(from), index = elements<int64_t>(index),
                          count = index.numel(), rows = to.size(dim), outer, width] {
      for (int64_t i = 0; i < count; ++i) {
        TORCH_CHECK(index[i] >= 0 && index[i] < rows, "index_add_: index[", i, "] is ", index[i],
                    ", expected one in [0, ", rows, ")");
        for (int64_t o = 0; o < outer; ++o) {
          T* row = to + (o * rows + index[i]) * width;
          kernel(row, from + (o * count + i) * width, row, width);
        }
      }
    });
  });
}

void launch_zero(const at::Tensor& to) {
  check_contiguous("zero", to);
  if (to.numel() == 0) return;
  launch("zero", [to = to.mutable_data_ptr(), bytes = to.nbytes()] { std::memset(to, 0, bytes); });
}

void launch_ones(const at::Tensor& to) {
  check_contiguous("ones", to);
  with_element("ones", to, [&](auto element) {
    using T = decltype(element);
    launch("ones", [to = mutable_elements<T>(to), count = to.numel()] {
      if constexpr (std::is_same_v<T, float>) std::fill_n(to, count, 1.0f);
      if constexpr (std::is_same_v<T, Bf16>) std::fill_n(to, count, Bf16{f32_to_bf16(1.0f)});
    });
  });
}

}  // namespace samebits
