#pragma once

#include <optional>

#include "harness/kernels/cuda/rows/launchers.h"
#include "harness/kernels/cuda/runtime/boxed.h"

// What operators of several families read from their arguments.
namespace samebits::cuda {

int64_t last(const at::Tensor& x);     // size of its last dimension
int64_t rows_of(const at::Tensor& x);  // product of the sizes before it

// `starts` checked as far as the host can; none: one sequence of all tokens.
Sequences sequences_of(const Call& call, const std::optional<at::Tensor>& starts, int64_t tokens);

Rows rows(const Call& call, const at::Tensor& x);
// Of rows of x [1, tokens, heads, dim].
Rotation rotation_of(const Call& call, const at::Tensor& x, const at::Tensor& cos,
                     const at::Tensor& sin, const at::Tensor& positions);
// Of heads x and their norm's weight, the results beside them.
NormedHeads heads_of(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& normed,
                     const at::Tensor& rotated);

}  // namespace samebits::cuda
