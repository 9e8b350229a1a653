#pragma once

#include <ATen/core/Tensor.h>

namespace samebits {

// The same memory, sizes and strides, without a share in it: whoever made it keeps it alive.
at::Tensor unowned(const at::Tensor& x);

}  // namespace samebits
