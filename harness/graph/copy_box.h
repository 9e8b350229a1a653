#pragma once

#include <ATen/core/Tensor.h>

namespace samebits {

// Copies a CPU tensor to the beginning, in every dimension, of contiguous memory of the CPU with
// these sizes and the tensor's dtype; what is left stays. No size of it is larger.
void copy_box(void* to, at::IntArrayRef sizes, const at::Tensor& from);

// `count` times the value, as int32, int64 or float32.
void fill_values(void* to, at::ScalarType dtype, int64_t count, int64_t value);

}  // namespace samebits
