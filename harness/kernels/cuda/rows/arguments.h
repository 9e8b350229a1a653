#pragma once

#include "harness/kernels/cuda/rows/launchers.h"
#include "harness/kernels/cuda/runtime/boxed.h"

// What operators of several families read from their arguments.
namespace samebits::cuda {

int64_t last(const at::Tensor& x);     // size of its last dimension
int64_t rows_of(const at::Tensor& x);  // product of the sizes before it

// Argument i, `starts` or None, checked as far as the host can.
Sequences sequences_of(const Call& call, size_t i, int64_t tokens);

// Of argument x.
Rows rows(const Call& call, size_t x);
// Rows of x, argument 0, and the table and positions from argument `cos` on.
Rotation rotation_of(const Call& call, size_t cos);
// Argument x and the next, its norm's weight, and results `result` and the next.
NormedHeads heads_of(const Call& call, size_t x, size_t result);

}  // namespace samebits::cuda
