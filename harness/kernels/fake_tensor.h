#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <c10/core/SymIntArrayRef.h>

namespace samebits {

// A tensor without data, for tracing: a dtype, sizes that may be symbolic, CPU or CUDA. sizes() on
// symbolic ones throws c10's error, sym_sizes() works; any access to data throws.
//
// `contiguous` is what is_contiguous() answers. Results of views say false, so that a program's
// contiguous() reaches the dispatcher and is recorded; it costs nothing where it has nothing to do.
at::Tensor make_fake_tensor(c10::SymIntArrayRef sizes, c10::ScalarType dtype, c10::Device device,
                            bool contiguous);

// The device of the first tensor among a call's arguments, which is that of its results: a program
// runs on one. CPU where there is none.
c10::Device device_of(c10::ArrayRef<c10::IValue> args);

bool is_fake_tensor(const at::Tensor& tensor);

}  // namespace samebits
