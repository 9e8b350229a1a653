#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

// Copies, lookups, conversions and sums as launches, for what LibTorch's own CPU kernels would do
// on the spot. The bits are LibTorch's, except that a NaN that is computed has the contract's bits
// (math.h). `to` is allocated by the caller and shares no memory with what is read; it is plain, on
// the CPU. Sizes and dtypes that do not fit throw c10::Error.
namespace samebits {

// to = from: same sizes and dtype, any strides, at most 8 dimensions.
void launch_copy(const at::Tensor& to, const at::Tensor& from);

// to = from[..., index, ...] along `dim`: index int64 [n]; all contiguous.
void launch_index_select(const at::Tensor& to, const at::Tensor& from, int64_t dim,
                         const at::Tensor& index);

// to = from, between float32 and bfloat16; both contiguous, same sizes.
void launch_cast(const at::Tensor& to, const at::Tensor& from);

// to = a + b, rounded once; float32 or bfloat16, all contiguous, same sizes and dtype.
void launch_add(const at::Tensor& to, const at::Tensor& a, const at::Tensor& b);

// to[..., index[i], ...] = that + from[..., i, ...] along `dim`, i ascending, rounded each time:
// float32 or bfloat16, index int64 [n]; all contiguous.
void launch_index_add(const at::Tensor& to, int64_t dim, const at::Tensor& index,
                      const at::Tensor& from);

// Every element +0; contiguous.
void launch_zero(const at::Tensor& to);

// Every element 1: float32 or bfloat16, contiguous.
void launch_ones(const at::Tensor& to);

}  // namespace samebits
