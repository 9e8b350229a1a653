#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/SymIntArrayRef.h>

namespace samebits {

// A tensor without data, for tracing: a dtype, sizes that may be symbolic, device CPU. sizes() on
// symbolic ones throws c10's error, sym_sizes() works; any access to data throws.
//
// `contiguous` is what is_contiguous() answers. Results of views say false, so that a program's
// contiguous() reaches the dispatcher and is recorded; it costs nothing where it has nothing to do.
at::Tensor make_fake_tensor(c10::SymIntArrayRef sizes, c10::ScalarType dtype, bool contiguous);

bool is_fake_tensor(const at::Tensor& tensor);

}  // namespace samebits
